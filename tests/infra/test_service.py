"""The service's unit, and where the machine has its environment file, the service itself."""

import json
import re

import pytest

IMAGE = "localhost/homeport/app:current"
ENVIRONMENT = "/etc/homeport/service.env"
UNIT = "homeport.service"


@pytest.fixture(scope="module")
def unit(host):
    """Return the unit's properties as systemd has them."""
    lines = host.check_output(f"systemctl show {UNIT}").splitlines()
    return dict(line.partition("=")[::2] for line in lines)


@pytest.fixture(scope="module")
def environment(host):
    """Return what the machine was told to serve; nothing on an image."""
    file = host.file(ENVIRONMENT)
    if not file.exists:
        return {}
    return dict(line.partition("=")[::2] for line in file.content_string.splitlines() if line)


@pytest.fixture
def running(environment):
    if not environment:
        pytest.skip(f"the machine has no {ENVIRONMENT}: it is an image, and nothing has to run")
    return environment


def test_image_is_in_the_machines_own_store(host, variables):
    (image,) = json.loads(host.check_output(f"podman image inspect {IMAGE}"))
    store = variables("container_engine")["container_engine_image_store"]
    index = json.loads(host.file(f"{store}/overlay-images/images.json").content_string)
    assert [found["id"] for found in index] == [image["Id"]]
    assert image["Labels"]["homeport.source"]


def test_image_runs_as_a_numeric_user(host):
    user = host.check_output(f"podman image inspect --format '{{{{.User}}}}' {IMAGE}")
    assert re.fullmatch(r"[1-9]\d*(:\d+)?", user)


def test_store_is_whole_without_whiteouts(host, variables):
    store = variables("container_engine")["container_engine_image_store"]
    assert host.check_output(f"find {store} -type c") == ""
    assert not host.file(f"{store}.new").exists
    assert not host.file(f"{store}.old").exists


def test_unit_is_enabled_and_valid(host):
    assert host.service(UNIT).is_enabled
    assert host.run(f"systemd-analyze verify --man=no --recursive-errors=no {UNIT}").rc == 0


def test_unit_starts_after_the_environment_is_written(unit):
    # cloud-init's unit has the first name until 24.2, the second since.
    assert {"network-online.target", "cloud-init.service", "cloud-init-network.service"} <= set(unit["After"].split())
    assert "network-online.target" in unit["Wants"].split()


def test_a_missing_environment_fails_the_unit(host, unit):
    """A condition, or systemd's own optional file, would let it be missing without a word."""
    lines = host.file(unit["FragmentPath"]).content_string.splitlines()
    assert [line for line in lines if line.startswith(("Condition", "EnvironmentFile=-"))] == []
    assert f"--env-file {ENVIRONMENT}" in unit["ExecStart"]


def test_each_outer_timeout_is_longer_than_the_inner(unit, variables, environment):
    drain = float(environment.get("HOMEPORT_DRAIN_SECONDS", 20)) + float(
        environment.get("HOMEPORT_DRAIN_NOTICE_SECONDS", 1)
    )
    podman = int(re.search(r"--time (\d+)", unit["ExecStop"])[1])
    assert podman == variables("service")["service_stop_seconds"]
    assert drain < podman < seconds(unit["TimeoutStopUSec"])


def test_unit_comes_back_but_not_for_ever(unit, variables):
    wanted = variables("service")
    assert unit["Restart"] == "always"
    assert seconds(unit["RestartUSec"]) == wanted["service_restart_seconds"]
    assert int(unit["StartLimitBurst"]) == wanted["service_restart_limit"]


@pytest.mark.parametrize(
    "option", ["--read-only", "--cap-drop all", "--network host", "no-new-privileges", "--pull never", "--env AWS_*"]
)
def test_container_is_locked_up(unit, option):
    assert option in unit["ExecStart"]


def test_a_machine_without_an_environment_serves_nothing(host, environment):
    if environment:
        assert host.service(UNIT).is_running
    else:
        assert not host.service(UNIT).is_running
        assert host.check_output("podman ps --all --quiet") == ""


def test_service_is_ready(host, running):
    answer = host.check_output(f"curl -sS -m 5 http://127.0.0.1:{running['HOMEPORT_PORT']}/readyz")
    assert json.loads(answer)["status"] == "ready"


def test_service_says_which_image_it_runs(host, running):
    version = json.loads(host.check_output(f"curl -sS -m 5 http://127.0.0.1:{running['HOMEPORT_PORT']}/version"))
    (image,) = json.loads(host.check_output(f"podman image inspect {IMAGE}"))
    assert f"HOMEPORT_VERSION_IMAGE={version['image']}" in image["Config"]["Env"]


def test_service_is_the_one_that_was_asked_for(host, running, variables):
    for name, value in (variables("service").get("service_environment") or {}).items():
        assert running[name] == (value if isinstance(value, str) else json.dumps(value))


def test_service_has_no_privileges(host, running):
    status = host.check_output("cat /proc/$(podman inspect --format '{{.State.Pid}}' homeport)/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_only_temporary_files_can_be_written(host, running, variables):
    pid = host.check_output("podman inspect --format '{{.State.Pid}}' homeport")
    mounts = {line.split()[1]: line.split() for line in host.file(f"/proc/{pid}/mounts").content_string.splitlines()}
    assert "ro" in mounts["/"][3].split(",")
    options = mounts["/tmp"][3].split(",")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options)
    assert f"size={variables('service')['service_temporary_mib'] * 1024}k" in options


def test_service_is_in_the_cgroup_of_its_unit(host, running):
    pid = host.check_output("podman inspect --format '{{.State.Pid}}' homeport")
    assert f"/{UNIT}/" in host.file(f"/proc/{pid}/cgroup").content_string


def test_log_lines_are_in_the_journal_of_the_unit(host, running):
    lines = host.check_output(f"journalctl --unit {UNIT} --output cat --no-pager").splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert "listening" in events


def seconds(text: str) -> float:
    """Read systemd's `1min 10s`."""
    units = {"h": 3600, "min": 60, "s": 1, "ms": 0.001}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(h|min|ms|s)", text))
