"""EC2's API and metadata with machines behind them: real Docker, real cloud-init, real Packer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from homeport.region import access
from tests.polling import eventually
from tests.region.machines.containers import container_region, docker

TEMPLATE = Path(__file__).with_name("bake.pkr.hcl")
BUILT_IN = (1, 9)
"""From this version on Packer's builders are plugins."""


@pytest.fixture(scope="module")
def region():
    with container_region() as region:
        region.register()
        yield region


@pytest.fixture
def bake(region):
    packer = shutil.which("packer")
    if packer is None:
        pytest.skip("Packer is not installed: nothing bakes")
    version = subprocess.run([packer, "version"], capture_output=True, text=True, check=True).stdout
    numbers = tuple(int(part) for part in version.split()[1].lstrip("v").split("-")[0].split(".")[:2])
    if numbers >= BUILT_IN:
        plugins = subprocess.run([packer, "plugins", "installed"], capture_output=True, text=True, check=True).stdout
        if "packer-plugin-amazon" not in plugins:
            pytest.skip("Packer's amazon plugin is not installed: packer plugins install github.com/hashicorp/amazon")
    reach = access.settings(region.run, access.read_keys(region.state))

    def run(command):
        return subprocess.run(
            [packer, "build", "-color=false", "-var", f"endpoint={reach['AWS_ENDPOINT_URL']}", "-var",
             f"command={command}", TEMPLATE],
            env={**os.environ, **reach, "AWS_POLL_DELAY_SECONDS": "1", "AWS_MAX_ATTEMPTS": "120",
                 "CHECKPOINT_DISABLE": "1", "no_proxy": "127.0.0.1"},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    return run


def left(ec2):
    """Return what a bake made for itself and should have removed."""
    states = [("instance-state-name", ["pending", "running", "stopping", "stopped", "shutting-down"])]
    found = ec2.describe_instances(Filters=[{"Name": name, "Values": values} for name, values in states])
    return {
        "keys": [one["KeyName"] for one in ec2.describe_key_pairs()["KeyPairs"] if "packer" in one["KeyName"]],
        "groups": [
            one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"] if "packer" in one["GroupName"]
        ],
        "instances": [one["InstanceId"] for made in found["Reservations"] for one in made["Instances"]],
        "volumes": ec2.describe_volumes()["Volumes"],
        "interfaces": ec2.describe_network_interfaces()["NetworkInterfaces"],
    }


NOTHING = {"keys": [], "groups": [], "instances": [], "volumes": [], "interfaces": []}


def test_packer_bakes_an_image_that_can_be_launched(region, bake, tmp_path):
    done = bake("sudo touch /etc/baked && sudo cloud-init clean")
    assert done.returncode == 0, done.stdout + done.stderr
    (image,) = region.ec2.describe_images(Filters=[{"Name": "name", "Values": ["baked"]}])["Images"]
    assert f"eu-central-1: {image['ImageId']}" in done.stdout
    assert (image["State"], image["Description"], image["EnaSupport"]) == ("available", "made by a test", True)
    assert image["Tags"] == [{"Key": "Name", "Value": "baked"}]
    (device,) = image["BlockDeviceMappings"]
    assert device["Ebs"]["Encrypted"]
    (snapshot,) = region.ec2.describe_snapshots(SnapshotIds=[device["Ebs"]["SnapshotId"]])["Snapshots"]
    assert (snapshot["State"], snapshot["Tags"]) == ("completed", image["Tags"])
    assert left(region.ec2) == NOTHING
    tags = docker("images", "--format", "{{.Tag}}", f"homeport/region-{region.run.region_id}").split()
    base = [
        one["ImageId"] for one in region.ec2.describe_images(Filters=[{"Name": "name", "Values": ["base-*"]}])["Images"]
    ]
    assert sorted(tags) == sorted([image["ImageId"], *base]), "the image before the encrypted copy is gone"

    key = tmp_path / "key"
    key.write_text(region.ec2.create_key_pair(KeyName="mine", KeyType="ed25519")["KeyMaterial"])
    key.chmod(0o600)
    options = {"KeyName": "mine", "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}}
    machine = region.booted(region.launch(image["ImageId"], **options)[0])
    address = region.describe(machine)["PrivateIpAddress"]
    log_in = ["ssh", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=5",
              "-o", "UserKnownHostsFile=/dev/null", f"admin@{address}", "ls /etc/baked; cloud-id"]  # fmt: skip
    ssh = subprocess.run(log_in, capture_output=True, text=True, timeout=30, check=False)
    assert ssh.stdout.split() == ["/etc/baked", "aws"], ssh.stderr
    region.ec2.terminate_instances(InstanceIds=[machine])
    region.reaches(machine, "terminated")
    region.ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)
    eventually(
        lambda: docker("images", "--format", "{{.Tag}}", f"homeport/region-{region.run.region_id}").split() == base,
        what="the image's file system is gone",
    )


def test_a_bake_that_fails_leaves_nothing(region, bake):
    done = bake("exit 3")
    assert done.returncode != 0
    assert "exit status: 3" in done.stdout
    assert region.ec2.describe_images(Filters=[{"Name": "name", "Values": ["baked"]}])["Images"] == []
    assert left(region.ec2) == NOTHING


BEHIND = """set -e
ip netns add behind
ip link add outer type veth peer name inner netns behind
ip addr add 192.168.77.1/24 dev outer
ip link set outer up
ip -n behind addr add 192.168.77.2/24 dev inner
ip -n behind link set inner up
ip -n behind route add default via 192.168.77.1
echo 1 >/proc/sys/net/ipv4/ip_forward
nft add table ip behind
nft 'add chain ip behind out { type nat hook postrouting priority 100; }'
nft add rule ip behind out ip saddr 192.168.77.0/24 masquerade
"""
PUT = (
    "curl -s -m 3 -o /dev/null -w '%{http_code}' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'"
    " http://169.254.169.254/latest/api/token || true"
)


def test_a_container_behind_the_machine_gets_a_token_by_the_hop_limit(region):
    """One hop is the machine itself; what has a network of its own in there is one further."""
    (base,) = region.ec2.describe_images(Filters=[{"Name": "name", "Values": ["base-*"]}])["Images"]
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    machine = region.booted(region.launch(base["ImageId"], MetadataOptions=options)[0])
    region.inside(machine, BEHIND)
    assert region.inside(machine, PUT) == "200"
    assert region.inside(machine, f"ip netns exec behind {PUT}") == "000"
    region.ec2.modify_instance_metadata_options(InstanceId=machine, HttpPutResponseHopLimit=2)
    assert region.inside(machine, f"ip netns exec behind {PUT}") == "200"
    region.ec2.terminate_instances(InstanceIds=[machine])
    region.reaches(machine, "terminated")
