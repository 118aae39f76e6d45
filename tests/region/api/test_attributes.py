"""ModifyInstanceAttribute and DescribeInstanceAttribute."""

import base64
import gzip

import pytest
from asking import refused, running

from tests.polling import eventually


def stopped(account, base, **fields):
    instance = running(account, base, **fields)
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    return instance


def told(account, instance, name, member):
    found = account.ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
    assert found["InstanceId"] == instance
    return found[member]


WHILE_STOPPED = [
    ("instanceType", "InstanceType", "InstanceType", "t3.large"),
    ("kernel", "Kernel", "KernelId", "aki-1"),
    ("ramdisk", "Ramdisk", "RamdiskId", "ari-1"),
    ("ebsOptimized", "EbsOptimized", "EbsOptimized", True),
    ("enaSupport", "EnaSupport", "EnaSupport", False),
    ("sriovNetSupport", "SriovNetSupport", "SriovNetSupport", "simple"),
]
AT_ANY_TIME = [
    ("disableApiStop", "DisableApiStop", "DisableApiStop", True),
    ("disableApiTermination", "DisableApiTermination", "DisableApiTermination", True),
    ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior",
     "terminate"),
    ("sourceDestCheck", "SourceDestCheck", "SourceDestCheck", False),
]  # fmt: skip


@pytest.mark.parametrize("attribute", WHILE_STOPPED, ids=lambda one: one[0])
def test_some_attributes_change_while_it_is_stopped_only(account, base, attribute):
    name, field, member, value = attribute
    instance = running(account, base)
    before = account.ec2.describe_instance_attribute(InstanceId=instance, Attribute=name).get(member)
    change = {"InstanceId": instance, field: {"Value": value}}
    message = refused("IncorrectInstanceState", account.ec2.modify_instance_attribute, **change)
    assert message == f"The instance '{instance}' is not in the 'stopped' state."
    assert account.ec2.describe_instance_attribute(InstanceId=instance, Attribute=name).get(member) == before
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    account.ec2.modify_instance_attribute(**change)
    assert told(account, instance, name, member) == {"Value": value}


@pytest.mark.parametrize("attribute", AT_ANY_TIME, ids=lambda one: one[0])
def test_others_change_at_any_time(account, base, attribute):
    name, field, member, value = attribute
    instance = running(account, base)
    assert told(account, instance, name, member)["Value"] != value
    account.ec2.modify_instance_attribute(InstanceId=instance, **{field: {"Value": value}})
    assert told(account, instance, name, member) == {"Value": value}


@pytest.mark.parametrize("data", [b"#!/bin/sh\n", gzip.compress(b"#cloud-config\n"), bytes(range(256))])
def test_user_data_is_what_the_machine_finds_at_its_next_start(account, base, data):
    instance = running(account, base, UserData="before")
    refused(
        "IncorrectInstanceState",
        account.ec2.modify_instance_attribute,
        InstanceId=instance,
        UserData={"Value": data},
    )
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    account.ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": data})
    assert base64.b64decode(told(account, instance, "userData", "UserData")["Value"]) == data
    assert account.metadata(instance).user_data == data


def test_user_data_by_the_attribute_s_name_is_in_base64(account, base):
    instance = stopped(account, base)
    account.ec2.modify_instance_attribute(
        InstanceId=instance, Attribute="userData", Value=base64.b64encode(b"#!").decode()
    )
    assert account.metadata(instance).user_data == b"#!"
    account.ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": b""})
    assert account.metadata(instance).user_data == b""
    assert told(account, instance, "userData", "UserData") == {}


def test_user_data_has_its_limit_here_too(account, base):
    instance = stopped(account, base)
    refused(
        "InvalidParameterValue",
        account.ec2.modify_instance_attribute,
        InstanceId=instance,
        UserData={"Value": b"x" * 16385},
    )


def test_one_attribute_a_call(account, base):
    instance = stopped(account, base)
    message = refused(
        "InvalidParameterCombination",
        account.ec2.modify_instance_attribute,
        InstanceId=instance,
        InstanceType={"Value": "t3.large"},
        DisableApiTermination={"Value": True},
    )
    assert message == "Fields for multiple attribute types specified: disableApiTermination, instanceType"
    assert told(account, instance, "disableApiTermination", "DisableApiTermination") == {"Value": False}
    message = refused("InvalidParameterCombination", account.ec2.modify_instance_attribute, InstanceId=instance)
    assert message == "No attributes specified."


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"InstanceType": {"Value": "t3.giant"}}, "InvalidInstanceAttributeValue"),
        ({"InstanceInitiatedShutdownBehavior": {"Value": "explode"}}, "InvalidParameterValue"),
        ({"Attribute": "disableApiStop", "Value": "perhaps"}, "InvalidParameterValue"),
        ({"Groups": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/none"}]}, "InvalidInstanceAttributeValue"),
    ],
)
def test_a_value_that_is_none_is_refused(account, base, change, code):
    refused(code, account.ec2.modify_instance_attribute, InstanceId=stopped(account, base), **change)


def test_groups_devices_and_enclaves_are_attributes_too(account, base):
    instance = stopped(account, base)
    vpc = account.instance(instance)["VpcId"]
    group = account.ec2.create_security_group(GroupName="own", Description="own", VpcId=vpc)["GroupId"]
    account.ec2.modify_instance_attribute(InstanceId=instance, Groups=[group])
    assert told(account, instance, "groupSet", "Groups") == [{"GroupId": group, "GroupName": "own"}]
    (interface,) = account.instance(instance)["NetworkInterfaces"]
    assert [one["GroupId"] for one in interface["Groups"]] == [group]
    account.ec2.modify_instance_attribute(
        InstanceId=instance,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}],
    )
    (device,) = told(account, instance, "blockDeviceMapping", "BlockDeviceMappings")
    assert (device["DeviceName"], device["Ebs"]["DeleteOnTermination"]) == ("/dev/xvda", False)
    account.ec2.modify_instance_attribute(InstanceId=instance, EnclaveOptions={"Enabled": True})
    assert told(account, instance, "enclaveOptions", "EnclaveOptions") == {"Enabled": True}
    assert told(account, instance, "rootDeviceName", "RootDeviceName") == {"Value": "/dev/xvda"}
    assert told(account, instance, "productCodes", "ProductCodes") == []


def test_a_check_of_the_source_is_one_of_the_first_interface(account, base):
    instance = running(account, base)
    interface = account.instance(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    for value in (False, True):
        account.ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": value})
        shown = account.instance(instance)
        assert (shown["SourceDestCheck"], shown["NetworkInterfaces"][0]["SourceDestCheck"]) == (value, value)
        account.ec2.modify_network_interface_attribute(
            NetworkInterfaceId=interface, SourceDestCheck={"Value": not value}
        )
        assert account.instance(instance)["SourceDestCheck"] is not value


def test_a_dry_run_changes_nothing(account, base):
    instance = stopped(account, base)
    for change in ({"DisableApiStop": {"Value": True}}, {"UserData": {"Value": b"x"}}):
        refused("DryRunOperation", account.ec2.modify_instance_attribute, InstanceId=instance, DryRun=True, **change)
    assert told(account, instance, "disableApiStop", "DisableApiStop") == {"Value": False}
    assert account.metadata(instance).user_data == b""
