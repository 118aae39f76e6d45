"""Machines that end by themselves, and machines that cannot be ended."""

import logging

import pytest
from asking import running

from homeport.errors import HomeportError
from tests.polling import eventually


def state(account, instance):
    return account.instance(instance)["State"]["Name"]


@pytest.mark.parametrize(("behavior", "end"), [(None, "stopped"), ("stop", "stopped"), ("terminate", "terminated")])
def test_a_shutdown_from_inside_does_what_the_instance_was_launched_with(account, base, behavior, end):
    given = {"InstanceInitiatedShutdownBehavior": behavior} if behavior else {}
    instance = running(account, base, **given)
    account.driver.end(instance)
    eventually(lambda: state(account, instance) == end)
    assert account.instance(instance)["StateReason"] == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: the machine ended by itself: powered off",
    }
    assert account.driver.asked("discard") == ([(instance,)] if end == "terminated" else [])
    assert account.ec2.describe_volumes()["Volumes"] == [] or end == "stopped"


def test_the_behavior_may_change_while_it_runs_and_no_protection_holds_it_up(account, base):
    instance = running(account, base, DisableApiTermination=True)
    account.ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    account.driver.end(instance, "exit code 0")
    eventually(lambda: state(account, instance) == "terminated")


@pytest.mark.parametrize(
    ("act", "states"),
    [("terminate_instances", ("shutting-down", "terminated")), ("stop_instances", ("stopping", "stopped"))],
)
def test_what_cannot_be_ended_says_why_once_and_ends_when_it_can(account, base, caplog, act, states):
    during, after = states
    caplog.set_level(logging.INFO, "homeport.region")
    instance = running(account, base)
    account.driver.stop_fault = HomeportError("the engine is away")
    getattr(account.ec2, act)(InstanceIds=[instance])
    eventually(lambda: len(account.driver.asked("stop")) >= 3)
    found = account.instance(instance)
    assert found["State"]["Name"] == during
    assert found["StateReason"]["Code"] == "Server.InternalError"
    assert "the engine is away" in found["StateReason"]["Message"]
    told = [record for record in caplog.records if "the engine is away" in record.getMessage()]
    assert len(told) == 1
    assert told[0].exc_info
    account.driver.stop_fault = OSError("the engine is broken")
    eventually(lambda: "the engine is broken" in account.instance(instance)["StateReason"]["Message"])
    account.driver.stop_fault = None
    eventually(lambda: state(account, instance) == after)
    assert account.instance(instance)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    lines = [record for record in caplog.records if instance in record.getMessage()]
    assert [bool(record.exc_info) for record in lines] == [True, False, False]


def test_many_that_cannot_be_ended_keep_no_other_from_ending(account, base):
    """More than there are threads that stop machines."""
    stuck = [running(account, base) for _ in range(40)]
    account.driver.stop_fault = HomeportError("the engine is away")
    account.ec2.terminate_instances(InstanceIds=stuck)
    eventually(lambda: {one for (one,) in account.driver.asked("stop")} == set(stuck))
    account.driver.stop_fault = None
    other = running(account, base)
    account.ec2.terminate_instances(InstanceIds=[other])
    eventually(lambda: state(account, other) == "terminated", 3)
    eventually(lambda: {state(account, one) for one in stuck} == {"terminated"})


def test_one_that_cannot_be_stopped_is_terminated_at_once_when_asked_to(account, base):
    instance = running(account, base)
    account.driver.stop_fault = HomeportError("the engine is away")
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: "the engine is away" in account.instance(instance)["StateReason"].get("Message", ""))
    account.driver.stop_fault = None
    account.ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: state(account, instance) == "terminated")
    assert account.driver.asked("discard") == [(instance,)]


def test_a_reboot_that_cannot_stop_the_machine_gives_up_neither_machine_nor_address(account, base):
    instance = running(account, base)
    account.driver.stop_fault = HomeportError("the engine is away")
    account.ec2.reboot_instances(InstanceIds=[instance])
    eventually(lambda: len(account.driver.asked("stop")) >= 2)
    assert state(account, instance) == "running"
    account.driver.stop_fault = None
    eventually(lambda: len(account.driver.asked("launch")) == 2)
    assert state(account, instance) == "running"
    eventually(lambda: not account.instance(instance)["StateReason"].get("Message"))
