"""Machines of the container driver, as whoever asks EC2 for them sees them. Real Docker, real cloud-init."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.polling import eventually
from tests.region.machines.containers import ContainerRegion, container_region, docker

USER_DATA = """#cloud-config
write_files:
  - path: /etc/homeport/service.env
    content: |
      HOMEPORT_SERVICE=balance
"""
TOKEN = "T=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)"
ASK = f'{TOKEN}; curl -s -H "X-aws-ec2-metadata-token: $T"'


@pytest.fixture(scope="module")
def region() -> Iterator[ContainerRegion]:
    with container_region() as region:
        yield region


@pytest.fixture(scope="module")
def image(region: ContainerRegion) -> str:
    return region.register()


@pytest.fixture(scope="module")
def key(region: ContainerRegion) -> Path:
    path = region.state.root.parent / "key.pem"
    path.write_text(region.ec2.create_key_pair(KeyName="test", KeyType="ed25519")["KeyMaterial"].rstrip("\n") + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def machine(region: ContainerRegion, image: str, key: Path) -> str:
    """A machine that has booted, with version 2 of the metadata service alone."""
    assert key.exists()
    options = {"UserData": USER_DATA, "KeyName": "test", "MetadataOptions": {"HttpTokens": "required"}}
    return region.booted(region.launch(image, **options)[0])


def test_cloud_init_takes_user_data_from_the_metadata_service(region, machine):
    assert region.inside(machine, "cat /etc/homeport/service.env") == "HOMEPORT_SERVICE=balance"
    result = json.loads(region.inside(machine, "cat /run/cloud-init/result.json"))
    assert result["v1"] == {"datasource": "DataSourceEc2", "errors": []}
    assert region.inside(machine, "systemctl --failed --plain --no-legend") == ""
    assert region.describe(machine)["State"]["Name"] == "running"


def test_its_services_find_the_api(region, machine):
    asked = region.inside(
        machine, "systemd-run --quiet --pipe --wait sh -c 'curl -s -w %{http_code} $AWS_ENDPOINT_URL'"
    )
    assert asked.endswith("200")


def test_the_console_shows_the_boot_and_cloud_init(region, machine):
    console = "\n".join(region.ec2.get_console_output(InstanceId=machine)["Output"].splitlines())
    for said in ("systemd[1]: Reached target", "Cloud-init v.", "Datasource DataSourceEc2"):
        assert said in console


def test_ssh_lets_in_with_the_key_pair(region, machine, key):
    address = region.describe(machine)["PrivateIpAddress"]
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
    command = ["ssh", "-i", str(key), *options, f"admin@{address}", "sudo", "id", "-un"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "root", done.stderr


def test_a_machine_gets_its_own_metadata_and_nobody_elses(region, image, machine):
    other = region.launch(image)[0]
    region.reaches(other, "running")
    address = region.describe(machine)["PrivateIpAddress"]
    for instance_id in (machine, other):
        said = region.inside(instance_id, f"{ASK} http://169.254.169.254/latest/meta-data/instance-id")
        assert said == instance_id
    # Neither by the address of the other one, nor by what only a proxy would send.
    gateway = region.run.network.replace(".0.0/16", ".0.1")
    forwarded = f"{ASK} -H 'X-Forwarded-For: {address}' http://{gateway}:1338/latest/meta-data/instance-id"
    assert region.inside(other, forwarded) == other
    token = region.inside(machine, f"{TOKEN}; echo $T")
    asked = f"curl -s -o /dev/null -w %{{http_code}} -H 'X-aws-ec2-metadata-token: {token}' http://169.254.169.254/"
    assert region.inside(other, f"{asked}latest/meta-data/instance-id") == "401"
    # The host is no instance.
    nobody = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{gateway}:1338/latest/meta-data/"]
    assert subprocess.run(nobody, capture_output=True, text=True, check=True, timeout=20).stdout == "404"
    region.ec2.terminate_instances(InstanceIds=[other])


def test_a_stopped_machine_keeps_its_files_and_address_and_a_terminated_one_nothing(region, image):
    instance_id = region.launch(image)[0]
    address = region.reaches(instance_id, "running")["PrivateIpAddress"]
    name = f"homeport-{instance_id}"
    region.inside(instance_id, "echo kept >/root/file")
    region.ec2.stop_instances(InstanceIds=[instance_id])
    region.reaches(instance_id, "stopped")
    region.ec2.start_instances(InstanceIds=[instance_id])
    region.reaches(instance_id, "running")
    assert region.inside(instance_id, "cat /root/file") == "kept"
    assert address in region.inside(instance_id, "ip -4 -brief address show eth0")
    volume = docker("inspect", "-f", "{{(index .Mounts 0).Name}}", name)
    region.ec2.terminate_instances(InstanceIds=[instance_id])
    region.reaches(instance_id, "terminated")
    assert not docker("ps", "-aq", "--filter", f"name=^{name}$")
    assert volume not in docker("volume", "ls", "-q").split()


@pytest.mark.parametrize(
    ("end", "reason"), [("docker kill {name}", "signal 9"), ("docker exec {name} systemctl poweroff", "powered off")]
)
def test_a_machine_that_ends_by_itself_is_stopped_with_a_reason(region, image, end, reason):
    instance_id = region.launch(image)[0]
    region.reaches(instance_id, "running")
    ready = "systemctl is-active dbus.socket || true"
    eventually(lambda: region.inside(instance_id, ready) == "active", what="systemd listens")
    subprocess.run(end.format(name=f"homeport-{instance_id}").split(), capture_output=True, check=False, timeout=60)
    stopped = region.reaches(instance_id, "stopped")
    assert stopped["StateReason"]["Message"].endswith(f"the machine ended by itself: {reason}")
    region.ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_machine_that_reboots_by_itself_runs_on(region, machine):
    before = docker("inspect", "-f", "{{.State.StartedAt}}", f"homeport-{machine}")
    region.inside(machine, "echo kept >/root/file; systemctl reboot")
    eventually(lambda: docker("inspect", "-f", "{{.State.StartedAt}}", f"homeport-{machine}") != before)
    region.booted(machine)
    assert region.inside(machine, "cat /root/file") == "kept"
    assert region.describe(machine)["State"]["Name"] == "running"


def test_an_image_of_a_machine_holds_its_files_and_nothing_of_the_region(region, machine):
    region.inside(machine, "echo baked >/etc/baked")
    made = region.ec2.create_image(InstanceId=machine, Name="baked", NoReboot=True)["ImageId"]
    region.available(made)
    instance_id = region.launch(made, UserData=USER_DATA)[0]
    region.booted(instance_id)
    assert region.inside(instance_id, "cat /etc/baked") == "baked"
    tag = f"homeport/region-{region.run.region_id}:{made}"
    facts = json.loads(docker("inspect", "--type", "image", tag))[0]["Config"]
    assert facts["Hostname"] == ""
    for own in (region.run.region_id, machine, str(region.state.root), "AWS_"):
        assert own not in json.dumps(facts)
    look = "cat /usr/lib/python3/dist-packages/cloudinit/dmi.py; find /run /tmp -type f"
    assert "ec2" not in docker("run", "--rm", "--entrypoint", "sh", tag, "-c", look).lower()
    region.ec2.terminate_instances(InstanceIds=[instance_id])
    region.reaches(instance_id, "terminated")
    region.ec2.deregister_image(ImageId=made)
    eventually(lambda: not docker("images", "-q", tag), what="the image is gone")


def test_what_cannot_be_launched_is_terminated_and_says_why(region, image):
    lost = region.register()
    docker("rmi", f"homeport/region-{region.run.region_id}:{lost}")
    reason = region.reaches(region.launch(lost)[0], "terminated")["StateReason"]["Message"]
    assert f"image {lost} is no Docker image here" in reason


def test_six_at_once(region, image):
    found = region.launch(image, 6)
    addresses = {region.reaches(one, "running")["PrivateIpAddress"] for one in found}
    assert len(addresses) == 6
    for one in found:
        region.booted(one)
    region.ec2.terminate_instances(InstanceIds=found)
    for one in found:
        region.reaches(one, "terminated")
