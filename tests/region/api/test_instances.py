import base64
import gzip
import os
import subprocess

import pytest
from asking import refused, running

from homeport.errors import HomeportError
from tests.polling import eventually


def public_half(private, tmp_path):
    """Return what OpenSSH makes of a private key."""
    path = tmp_path / "key"
    path.write_text(private)
    path.chmod(0o600)
    return subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "ssh-rsa"), ("ed25519", "ssh-ed25519"), (None, "ssh-rsa")])
def test_a_key_pair_opens_what_is_launched_with_it(account, base, tmp_path, kind, algorithm):
    pair = account.ec2.create_key_pair(KeyName="my key", **({"KeyType": kind} if kind else {}))
    instance = running(account, base, KeyName="my key")
    metadata = account.metadata(instance)
    assert metadata.key_name == "my key"
    kept, material, comment = metadata.public_key.split(" ", 2)
    assert (kept, comment) == (algorithm, "my key")
    assert public_half(pair["KeyMaterial"], tmp_path)[:2] == [kept, material]
    account.ec2.delete_key_pair(KeyName="my key")
    assert account.metadata(instance).public_key == metadata.public_key
    refused(
        "InvalidKeyPair.NotFound", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1, KeyName="my key"
    )


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_an_imported_key_reaches_metadata(account, base, tmp_path, kind):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "me@home office", "-f", path], check=True)
    public = path.with_suffix(".pub").read_bytes()
    account.ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=public)
    instance = running(account, base, KeyName="mine")
    assert account.metadata(instance).public_key.encode() == b" ".join([*public.split()[:2], b"mine"])
    (shown,) = account.ec2.describe_key_pairs(KeyNames=["mine"], IncludePublicKey=True)["KeyPairs"]
    assert shown["PublicKey"].split()[:2] == public.decode().split()[:2]
    refused("InvalidKeyPair.Duplicate", account.ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=public)
    refused("InvalidKey.Format", account.ec2.import_key_pair, KeyName="bad", PublicKeyMaterial=b"no key")


def test_without_a_key_there_is_none_in_metadata(account, base):
    assert account.metadata(running(account, base)).public_key == ""


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("debian", "InvalidAMIID.Malformed"),
        (None, "MissingParameter"),
    ],
)
def test_an_unknown_image_is_refused_at_once(account, image, code):
    refused(code, account.ec2.run_instances, MinCount=1, MaxCount=1, **({"ImageId": image} if image else {}))
    assert account.ec2.describe_instances()["Reservations"] == []
    assert account.driver.calls == []


def test_a_template_s_image_key_and_devices_count(account, base):
    account.ec2.create_key_pair(KeyName="mine")
    data = {
        "ImageId": base,
        "KeyName": "mine",
        "UserData": base64.b64encode(b"from the template").decode(),
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "Encrypted": True}}],
    }
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=data)
    made = account.ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "one"})
    instance = made["Instances"][0]["InstanceId"]
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    assert account.instance(instance)["KeyName"] == "mine"
    assert account.metadata(instance).public_key.endswith(" mine")
    assert account.metadata(instance).user_data == b"from the template"
    (volume,) = account.ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["Encrypted"]) == (20, True)
    data["ImageId"] = "ami-0123456789abcdef0"
    account.ec2.create_launch_template_version(LaunchTemplateName="one", LaunchTemplateData=data)
    latest = {"LaunchTemplateName": "one", "Version": "$Latest"}
    refused("InvalidAMIID.NotFound", account.ec2.run_instances, MinCount=1, MaxCount=1, LaunchTemplate=latest)


def test_a_template_s_options_hold_where_the_request_says_nothing_else(account, base):
    data = {"ImageId": base, "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 3}}
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=data)
    template = {"LaunchTemplate": {"LaunchTemplateName": "one"}, "MinCount": 1, "MaxCount": 1}
    for asked, found in (({}, (True, 3)), ({"HttpTokens": "optional"}, (False, 3))):
        made = account.ec2.run_instances(**template, MetadataOptions=asked)
        metadata = account.metadata(made["Instances"][0]["InstanceId"])
        assert (metadata.tokens_required, metadata.hop_limit) == found


def test_an_image_for_version_two_of_metadata_makes_it_the_default(account):
    image = account.ec2.register_image(Name="new", ImdsSupport="v2.0")["ImageId"]
    metadata = account.metadata(account.run(image))
    assert (metadata.tokens_required, metadata.hop_limit) == (True, 2)
    metadata = account.metadata(account.run(image, MetadataOptions={"HttpTokens": "optional"}))
    assert not metadata.tokens_required


def test_a_template_s_network_and_profile_count(account, base):
    subnet = account.ec2.describe_subnets()["Subnets"][1]["SubnetId"]
    data = {"ImageId": base, "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet}]}
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=data)
    made = account.ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "one"}, MinCount=1, MaxCount=1)
    assert made["Instances"][0]["SubnetId"] == subnet


def test_an_instance_has_the_image_s_devices_and_its_own(account):
    image = account.ec2.register_image(
        Name="two disks",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}},
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 2}},
            {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 2}},
        ],
    )["ImageId"]
    own = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "VolumeType": "gp3"}},
        {"DeviceName": "/dev/sdg", "NoDevice": ""},
        {"DeviceName": "/dev/sdh", "Ebs": {"VolumeSize": 1}},
    ]
    instance = running(account, image, BlockDeviceMappings=own)
    shown = account.instance(instance)
    assert shown["RootDeviceName"] == "/dev/xvda"
    assert {one["DeviceName"] for one in shown["BlockDeviceMappings"]} == {"/dev/xvda", "/dev/sdf", "/dev/sdh"}
    assert (account.metadata(instance).root_device, account.metadata(instance).volumes) == (
        "/dev/xvda", ("/dev/sdf", "/dev/sdh"),
    )  # fmt: skip
    attached = {one["Attachments"][0]["Device"]: one for one in account.ec2.describe_volumes()["Volumes"]}
    assert {device: one["Size"] for device, one in attached.items()} == {"/dev/xvda": 9, "/dev/sdf": 2, "/dev/sdh": 1}
    account.ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "terminated")
    left = [one["Size"] for one in account.ec2.describe_volumes()["Volumes"]]
    assert left in ([], [1]), "only a device that the launch itself added may stay"


@pytest.mark.parametrize(
    "data", [b"#cloud-config\n", gzip.compress(b"#!/bin/sh\n"), os.urandom(16384)], ids=["text", "gzip", "bytes"]
)
def test_user_data_reaches_metadata_as_it_was(account, base, data):
    assert account.metadata(account.run(base, UserData=data)).user_data == data


def test_user_data_has_a_limit(account, base):
    message = refused(
        "InvalidParameterValue", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1, UserData=b"x" * 16385
    )
    assert "16384 bytes" in message
    assert account.driver.calls == []


def test_the_network_is_in_metadata(account, base):
    subnet = account.ec2.describe_subnets()["Subnets"][0]
    group = account.ec2.create_security_group(GroupName="own", Description="own", VpcId=subnet["VpcId"])["GroupId"]
    instance = running(account, base, SubnetId=subnet["SubnetId"], SecurityGroupIds=[group])
    (interface,) = account.metadata(instance).interfaces
    shown = account.instance(instance)
    (nic,) = shown["NetworkInterfaces"]
    assert interface.addresses == (shown["PrivateIpAddress"],)
    assert (interface.interface_id, interface.mac) == (nic["NetworkInterfaceId"], nic["MacAddress"])
    assert (interface.subnet_id, interface.subnet_range) == (subnet["SubnetId"], subnet["CidrBlock"])
    assert interface.vpc_id == subnet["VpcId"]
    assert interface.vpc_ranges == (account.ec2.describe_vpcs(VpcIds=[subnet["VpcId"]])["Vpcs"][0]["CidrBlock"],)
    assert interface.security_groups == ((group, "own"),)


def test_a_public_address_is_one_that_answers_here(account, base):
    subnet = account.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": True}
    shown = account.instance(running(account, base, NetworkInterfaces=[interface]))
    assert shown["PublicIpAddress"] == shown["PrivateIpAddress"]
    assert shown["NetworkInterfaces"][0]["Association"]["PublicIp"] == shown["PrivateIpAddress"]
    assert "amazonaws" not in repr(shown)


def test_the_options_of_metadata_reach_it(account, base):
    options = {
        "HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled",
        "InstanceMetadataTags": "enabled",
    }  # fmt: skip
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]}]
    instance = running(account, base, MetadataOptions=options, TagSpecifications=tags)
    metadata = account.metadata(instance)
    assert (metadata.tokens_required, metadata.hop_limit, dict(metadata.tags)) == (True, 2, {"Name": "one"})
    account.ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="optional")
    metadata = account.metadata(instance)
    assert (metadata.tokens_required, metadata.hop_limit, dict(metadata.tags)) == (False, 2, {"Name": "one"})


def test_attributes_that_packer_sets_leave_the_rest_alone(account, base):
    instance = running(account, base)
    groups = account.instance(instance)["SecurityGroups"]
    # Packer stops it before.
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    account.ec2.modify_instance_attribute(InstanceId=instance, EnaSupport={"Value": True})
    account.ec2.modify_instance_attribute(InstanceId=instance, SriovNetSupport={"Value": "simple"})
    account.ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    assert account.instance(instance)["SecurityGroups"] == groups
    assert account.instance(instance)["EnaSupport"]

    def shown(name):
        return account.ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)

    assert shown("enaSupport")["EnaSupport"] == {"Value": True}
    assert shown("sriovNetSupport")["SriovNetSupport"] == {"Value": "simple"}
    assert shown("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}


def test_status_is_ok_when_the_machine_runs_and_not_before(account, base):
    account.driver.may_go_on.clear()
    instance = account.run(base)
    assert account.ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"] == []
    everything = account.ec2.describe_instance_status(InstanceIds=[instance], IncludeAllInstances=True)
    assert everything["InstanceStatuses"][0]["InstanceStatus"]["Status"] == "not-applicable"
    account.driver.may_go_on.set()
    (status,) = eventually(lambda: account.ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"])
    assert (status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"]) == ("ok", "ok")


def test_a_stopped_machine_is_kept_and_a_terminated_one_is_not(account, base):
    instance = running(account, base)
    address = account.instance(instance)["PrivateIpAddress"]
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    assert account.driver.asked("discard") == []
    account.ec2.start_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    assert account.instance(instance)["PrivateIpAddress"] == address
    account.ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: account.driver.asked("discard") == [(instance,)])


def test_what_cannot_start_again_is_terminated_and_leaves_nothing(account, base):
    instance = running(account, base)
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    account.driver.launch_fault = HomeportError("the engine refuses")
    account.ec2.start_instances(InstanceIds=[instance])
    eventually(lambda: account.driver.asked("discard") == [(instance,)])
    found = account.instance(instance)
    assert found["State"]["Name"] == "terminated"
    assert "the engine refuses" in found["StateReason"]["Message"]


def test_the_console_is_shown(account, base):
    instance = running(account, base)
    assert account.ec2.get_console_output(InstanceId=instance)["Output"] == f"the console of {instance}"


def test_what_tools_ask_about_types_and_places_is_answered(account):
    offered = account.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}]
    )
    assert {one["Location"] for one in offered["InstanceTypeOfferings"]} == {f"eu-central-1{zone}" for zone in "abc"}
    (kind,) = account.ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]
    assert "x86_64" in kind["ProcessorInfo"]["SupportedArchitectures"]
    assert "eu-central-1" in {one["RegionName"] for one in account.ec2.describe_regions()["Regions"]}


def test_what_a_current_packer_tags_is_tagged(account, base):
    """Its calls carry tags of their own, where older ones tag afterwards."""

    def tags(kind):
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": "baking"}]}]}

    shown = [{"Key": "Name", "Value": "baking"}]
    account.ec2.create_key_pair(KeyName="packer_1", KeyType="ed25519", **tags("key-pair"))
    assert account.ec2.describe_key_pairs(KeyNames=["packer_1"])["KeyPairs"][0]["Tags"] == shown
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = account.ec2.create_security_group(
        GroupName="packer_1", Description="Temporary", VpcId=vpc, **tags("security-group")
    )["GroupId"]
    found = account.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["packer_*"]}])
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    launched = tags("instance")["TagSpecifications"] + tags("volume")["TagSpecifications"]
    instance = running(account, base, KeyName="packer_1", SecurityGroupIds=[group], TagSpecifications=launched)
    (volume,) = account.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])[
        "Volumes"
    ]
    assert (volume["Tags"], account.instance(instance)["Tags"]) == (shown, shown)
    account.ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "terminated")
    account.ec2.delete_security_group(GroupId=group)
    account.ec2.delete_key_pair(KeyName="packer_1")
    assert account.ec2.describe_volumes()["Volumes"] == []
    assert account.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
