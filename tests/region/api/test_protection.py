"""A flag that protects, protects however it was set."""

import pytest
from asking import refused, running
from botocore.exceptions import ClientError

from tests.polling import eventually

WAYS = ["launch", "template", "request over template", "attribute", "attribute by name"]
FLAGS = {"DisableApiTermination": "disableApiTermination", "DisableApiStop": "disableApiStop"}


def protect(account, base, flag, way):
    """Return an instance that is protected by a flag, set in one of the ways."""
    template = {"LaunchTemplateName": "one"}
    if way == "launch":
        return running(account, base, **{flag: True})
    if way == "template":
        account.ec2.create_launch_template(**template, LaunchTemplateData={flag: True})
        return running(account, base, LaunchTemplate=template)
    if way == "request over template":
        account.ec2.create_launch_template(**template, LaunchTemplateData={flag: False})
        return running(account, base, LaunchTemplate=template, **{flag: True})
    instance = running(account, base)
    if way == "attribute":
        account.ec2.modify_instance_attribute(InstanceId=instance, **{flag: {"Value": True}})
    else:
        account.ec2.modify_instance_attribute(InstanceId=instance, Attribute=FLAGS[flag], Value="true")
    return instance


def unprotect(account, instance, flag, way):
    if way == "attribute by name":
        account.ec2.modify_instance_attribute(InstanceId=instance, Attribute=FLAGS[flag], Value="false")
    else:
        account.ec2.modify_instance_attribute(InstanceId=instance, **{flag: {"Value": False}})


def told(account, instance, flag):
    return account.ec2.describe_instance_attribute(InstanceId=instance, Attribute=FLAGS[flag])[flag]["Value"]


def state(account, instance):
    return account.instance(instance)["State"]["Name"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flag", FLAGS)
def test_a_protected_instance_is_not_terminated(account, base, flag, way):
    instance = protect(account, base, flag, way)
    assert told(account, instance, flag) is True
    message = refused("OperationNotPermitted", account.ec2.terminate_instances, InstanceIds=[instance])
    assert message == (
        f"The instance '{instance}' may not be terminated. Modify its '{FLAGS[flag]}' instance attribute and try again."
    )
    assert state(account, instance) == "running"
    assert account.driver.asked("stop") == []
    unprotect(account, instance, flag, way)
    assert told(account, instance, flag) is False
    account.ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: state(account, instance) == "terminated")


@pytest.mark.parametrize("way", WAYS)
def test_an_instance_that_is_protected_against_a_stop_is_not_stopped(account, base, way):
    instance, other = protect(account, base, "DisableApiStop", way), running(account, base)
    message = refused("OperationNotPermitted", account.ec2.stop_instances, InstanceIds=[other, instance])
    assert message == (
        f"The instance '{instance}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
    )
    assert (state(account, instance), state(account, other)) == ("running", "running")
    account.ec2.reboot_instances(InstanceIds=[instance])
    eventually(lambda: account.driver.asked("stop") == [(instance,)])
    unprotect(account, instance, "DisableApiStop", way)
    account.ec2.stop_instances(InstanceIds=[instance, other])
    eventually(lambda: {state(account, instance), state(account, other)} == {"stopped"})


def test_protection_against_termination_does_not_keep_it_from_being_stopped(account, base):
    instance = running(account, base, DisableApiTermination=True)
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: state(account, instance) == "stopped")
    refused("OperationNotPermitted", account.ec2.terminate_instances, InstanceIds=[instance])


def test_one_call_terminates_in_zones_without_a_protected_instance_only(account, base):
    """The example of EC2's API reference: A and B in one zone, C (protected) and D in another."""
    subnets = {one["AvailabilityZone"][-1]: one["SubnetId"] for one in account.ec2.describe_subnets()["Subnets"]}
    a, b, d = (running(account, base, SubnetId=subnets[zone]) for zone in "aab")
    c = running(account, base, SubnetId=subnets["b"], DisableApiTermination=True)
    message = refused("OperationNotPermitted", account.ec2.terminate_instances, InstanceIds=[a, b, c, d])
    assert f"'{c}' may not be terminated" in message
    eventually(lambda: {state(account, a), state(account, b)} == {"terminated"})
    assert (state(account, c), state(account, d)) == ("running", "running")
    assert {one for (one,) in account.driver.asked("stop")} == {a, b}
    refused("InvalidInstanceID.NotFound", account.ec2.terminate_instances, InstanceIds=[d, "i-0123456789abcdef0"])
    assert state(account, d) == "running"


def test_what_is_terminated_already_keeps_nothing(account, base):
    instance, other = running(account, base, DisableApiTermination=True), running(account, base)
    unprotect(account, instance, "DisableApiTermination", "attribute")
    account.ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: state(account, instance) == "terminated")
    account.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    account.ec2.terminate_instances(InstanceIds=[instance, other])
    eventually(lambda: state(account, other) == "terminated")


def test_a_stop_that_would_hibernate_is_refused(account, base):
    instance = running(account, base)
    refused("UnsupportedHibernationConfiguration", account.ec2.stop_instances, InstanceIds=[instance], Hibernate=True)
    assert state(account, instance) == "running"


def test_a_load_balancer_is_protected_until_it_is_not(account):
    elbv2 = account.client("elbv2")
    subnets = [one["SubnetId"] for one in account.ec2.describe_subnets()["Subnets"]]
    arn = elbv2.create_load_balancer(Name="one", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]

    def say(value):
        elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": value}]
        )

    for value in ("true", "True"):
        say(value)
        message = refused("OperationNotPermitted", elbv2.delete_load_balancer, LoadBalancerArn=arn)
        assert message == f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
    with pytest.raises(ClientError, match="must be one of"):
        say("yes")
    # Another attribute leaves it as it is.
    elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "30"}]
    )
    refused("OperationNotPermitted", elbv2.delete_load_balancer, LoadBalancerArn=arn)
    say("false")
    elbv2.delete_load_balancer(LoadBalancerArn=arn)
    assert elbv2.describe_load_balancers()["LoadBalancers"] == []


@pytest.mark.parametrize("later", [False, True])
def test_a_table_is_protected_until_it_is_not(account, later):
    dynamodb = account.client("dynamodb")
    dynamodb.create_table(
        TableName="one",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **({} if later else {"DeletionProtectionEnabled": True}),
    )
    if later:
        dynamodb.update_table(TableName="one", DeletionProtectionEnabled=True)
    assert dynamodb.describe_table(TableName="one")["Table"]["DeletionProtectionEnabled"] is True
    refused("ValidationException", dynamodb.delete_table, TableName="one")
    dynamodb.update_table(TableName="one", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="one")
