"""A whole region without Terraform: groups are made with boto3, at twenty times AWS's pace."""

import base64
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from homeport.images.build import build_image
from homeport.images.register import register_image
from homeport.region import access, daemon
from homeport.region.journal import Journal
from homeport.region.state import StateFolder
from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[3]
SPEED = 20.0
USER_DATA = """#cloud-config
write_files:
  - path: /etc/homeport/service.env
    content: |
      HOMEPORT_SERVICE=balance
      HOMEPORT_PORT=8101
"""


class Account:
    """A region's API and a network in it, with what the tests ask again and again."""

    def __init__(self, state):
        self.state = state
        run = access.running(state)
        reach = access.settings(run, access.read_keys(state))
        self.ec2, self.autoscaling, self.elbv2, self.ssm, self.iam = (
            access.client(name, reach) for name in ("ec2", "autoscaling", "elbv2", "ssm", "iam")
        )
        self.image = register_image(self.ec2, self.ssm, build_image(ROOT / "app", state), "test")
        self.vpc = self.ec2.create_vpc(CidrBlock=run.network)["Vpc"]["VpcId"]
        prefix = run.network.removesuffix("0.0/16")
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"{prefix}{number * 16}.0/20", AvailabilityZone=f"eu-central-1{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("abc")
        ]
        self.templates = 0

    def template(self, **data):
        """Make a launch template and return its id."""
        self.templates += 1
        fields = {
            "ImageId": self.image,
            "InstanceType": "t3.micro",
            "UserData": base64.b64encode(USER_DATA.encode()).decode(),
        } | data
        name = f"template-{self.templates}"
        made = self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=fields)
        return made["LaunchTemplate"]["LaunchTemplateId"]

    def create(self, name, size, *, template=None, **fields):
        """Make a group, and wait until it is as large as asked unless it cannot be."""
        self.autoscaling.create_auto_scaling_group(
            **{
                "AutoScalingGroupName": name,
                "MinSize": 0,
                "MaxSize": 8,
                "DesiredCapacity": size,
                "LaunchTemplate": {"LaunchTemplateId": template or self.template(), "Version": "$Latest"},
                "VPCZoneIdentifier": ",".join(self.subnets),
            }
            | fields
        )

    def group(self, name):
        (found,) = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return found

    def members(self, name):
        return self.group(name)["Instances"]

    def settled(self, name, size):
        """Wait until exactly so many members are there, all in service, and return them."""

        def look():
            members = self.members(name)
            settled = len(members) == size and all(m["LifecycleState"] == "InService" for m in members)
            return (members,) if settled else None

        return self.wait(f"{name} has {size} in service", look)[0]

    def activities(self, name):
        return self.autoscaling.describe_scaling_activities(AutoScalingGroupName=name)["Activities"]

    def machine(self, instance_id):
        """Return the journal's entry of an instance's machine, or None."""
        return next((e for e in Journal(self.state.journal).entries("instance") if e.id == instance_id), None)

    def state_of(self, instance_id):
        (found,) = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
        return found["State"]["Name"]

    @staticmethod
    def wait(what, condition):
        return eventually(condition, 30, what)


@pytest.fixture(scope="session")
def account():
    folder = Path(tempfile.mkdtemp(prefix="homeport-groups-"))
    folder.chmod(0o755)
    state = StateFolder(folder / "state")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        daemon.start(state, daemon.Options(api_port=port, speed=SPEED, repository=ROOT))
        yield Account(state)
    finally:
        daemon.stop(state)
        state.remove()
        shutil.rmtree(folder)


@pytest.fixture
def group(account, request):
    """A name for the test's group; the group is gone when the test ends."""
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    yield name
    if account.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]:
        account.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        account.wait(
            f"{name} is gone",
            lambda: (
                not account.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
            ),
        )
