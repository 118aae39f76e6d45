"""node_exporter answers with the figures that alerts need, as a user that can change nothing."""

import os
import re
import shlex

import pytest

UNIT = "node_exporter.service"


@pytest.fixture
def given(variables):
    return variables("node_exporter")


def journal(host):
    return host.run(f"journalctl --no-pager --unit {UNIT} --lines 20").stdout


def ask(host, given, *options):
    """Status and body of a GET of the figures, asked for on the host itself."""
    address = given["node_exporter_listen_address"]
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(address, address)
    scheme = "https" if given["node_exporter_tls_certificate"] else "http"
    url = f"{scheme}://{address}:{given['node_exporter_port']}/metrics"
    command = shlex.join(["curl", "--silent", "--insecure", "--max-time", "20", *options, "-w", "\n%{http_code}", url])
    body, _, status = host.run(command).stdout.rpartition("\n")
    return int(status), body


@pytest.fixture
def figures(host, given):
    options = []
    if given["node_exporter_basic_auth_users"]:
        login = os.environ.get("METRICS_LOGIN")
        if not login:
            pytest.skip("METRICS_LOGIN (name:password) is not set, and the figures are for those who have a password")
        options = ["--user", login]
    status, body = ask(host, given, *options)
    assert status == 200, journal(host)
    return body


def test_runs_now_and_at_boot(host):
    service = host.service(UNIT)
    assert service.is_running, journal(host)
    assert service.is_enabled


def test_listens_where_it_should_and_nowhere_else(host, given):
    port = given["node_exporter_port"]
    lines = [
        line.split()
        for line in host.check_output("ss --no-header --tcp --listening --numeric --processes").splitlines()
    ]
    pid = host.check_output(f"systemctl show --property MainPID --value {UNIT}")
    mine = {line[3] for line in lines if f"pid={pid}," in line[-1]}
    address = given["node_exporter_listen_address"]
    assert mine == {f"*:{port}" if address in ("", "0.0.0.0", "[::]") else f"{address}:{port}"}


@pytest.mark.parametrize(
    "collector", ["cpu", "diskstats", "filesystem", "meminfo", "netdev", "systemd", "textfile", "timex"]
)
def test_a_collector_that_alerts_need_succeeds(figures, collector):
    assert f'node_scrape_collector_success{{collector="{collector}"}} 1' in figures.splitlines()


def test_collectors_are_chosen(figures, given):
    present = set(re.findall(r'node_scrape_collector_success\{collector="(\w+)"\}', figures))
    assert present >= set(given["node_exporter_collectors_enabled"])
    assert not present & set(given["node_exporter_collectors_disabled"])


def test_reports_the_units_that_were_named(host, figures, given):
    reported = set(re.findall(r'node_systemd_unit_state\{name="([^"]+)\.service"', figures))
    # Not host.service(...).exists, which lists all units: on an emulated machine that takes most of a minute.
    state = "systemctl show --property LoadState --value"
    loaded = {
        name for name in given["node_exporter_units"] if host.check_output(f"{state} {name}.service") != "not-found"
    }
    assert reported == loaded


def test_sees_file_systems_as_the_machine_does(figures):
    """Its own view is read-only."""
    writable = re.findall(r'^node_filesystem_readonly\{.*mountpoint="([^"]+)"\} 0$', figures, re.MULTILINE)
    assert writable


def test_reads_figures_that_others_leave(host, given):
    if given["node_exporter_basic_auth_users"] and not os.environ.get("METRICS_LOGIN"):
        pytest.skip("METRICS_LOGIN (name:password) is not set, and the figures are for those who have a password")
    options = ["--user", os.environ["METRICS_LOGIN"]] if given["node_exporter_basic_auth_users"] else []
    file = f"{given['node_exporter_textfile_directory']}/homeport_test.prom"
    host.check_output(f"printf 'homeport_test_left_by_others 42\\n' >{file} && chmod 0644 {file}")
    try:
        _, body = ask(host, given, *options)
    finally:
        host.check_output(f"rm -f {file}")
    assert re.search(r"^homeport_test_left_by_others 42$", body, re.MULTILINE)


def test_asks_for_a_password_where_one_is_set(host, given):
    expected = 401 if given["node_exporter_basic_auth_users"] else 200
    assert ask(host, given)[0] == expected
    assert ask(host, given, "--user", "prometheus:wrong")[0] == expected


def test_speaks_https_alone_where_it_has_a_certificate(host, given):
    plain = ask(host, {**given, "node_exporter_tls_certificate": ""})[0]
    assert plain == (400 if given["node_exporter_tls_certificate"] else 200)


def test_is_a_user_that_can_change_nothing(host):
    pid = host.check_output(f"systemctl show --property MainPID --value {UNIT}")
    status = dict(
        line.split(":\t", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines() if ":\t" in line
    )
    assert host.check_output(f"ps -o user:20= -p {pid}") == "node_exporter"
    assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for folder in ("/etc", "/var/lib"):
        assert "Read-only" in host.run(f"nsenter --target {pid} --mount -- touch {folder}/homeport-test").stderr


def test_the_packages_own_unit_does_not_compete(host):
    assert not host.service("prometheus-node-exporter.service").is_running
