"""The controller with machines and calls that the test decides about; no thread of its own, no API."""

import logging
import threading

import boto3
import pytest
from botocore.stub import Stubber

from homeport.region.autoscaling.calls import Calls
from homeport.region.autoscaling.controller import Controller
from homeport.region.autoscaling.lifecycle import IN_SERVICE
from homeport.region.autoscaling.model import LaunchTemplate
from homeport.region.autoscaling.plan import changes, steps
from homeport.region.autoscaling.plan.health import UNKNOWN_MACHINE
from homeport.region.autoscaling.service import Service
from homeport.region.clock import Clock
from tests.polling import eventually
from tests.unit.simulated_group import new_group


class Machines:
    def __init__(self):
        self.states = {}

    def state(self, instance_id):
        return self.states.get(instance_id, "unknown")

    def why(self, instance_id):
        return ""


class NoTargets:
    def unhealthy(self, target_group, instance_id):
        return ""

    def drained(self, target_group, instance_id):
        return True


class Answers:
    """Calls that are answered, or fail, as the test says."""

    def __init__(self, machines):
        self.machines = machines
        self.fails = None
        self.made = []
        self.gate = threading.Event()
        self.gate.set()

    def make(self, group, call):
        self.made.append(call)
        self.gate.wait(10)
        if self.fails:
            raise self.fails
        if isinstance(call, steps.RunInstances):
            name = f"i-{len(self.machines.states)}"
            self.machines.states[name] = "running"
            yield changes.Launched(call.key, name, "t3.micro", LaunchTemplate("lt-1", "lt", "1"))
        elif isinstance(call, steps.TerminateInstances):
            self.machines.states[call.key] = "terminated"


@pytest.fixture
def service():
    return Service("1", "eu-central-1", None, None, Clock())


@pytest.fixture
def machines():
    return Machines()


@pytest.fixture
def calls(machines):
    return Answers(machines)


@pytest.fixture
def controller(service, calls, machines):
    made = Controller(service, calls, machines, NoTargets())
    yield made
    calls.gate.set()
    made.close()


def add(service, controller, size, **fields):
    group = new_group(desired=size, **fields)
    service.model.groups[group.name] = group

    def in_service():
        controller.reconcile()
        return sum(i.lifecycle == IN_SERVICE for i in group.instances.values()) == size

    eventually(in_service, 10, "all in service")
    return group


def test_an_instance_whose_machine_is_not_known_stays_and_that_is_logged_once(service, controller, machines, caplog):
    caplog.set_level(logging.INFO)
    group = add(service, controller, 2)
    lost = next(iter(group.instances))
    state = machines.states.pop(lost)
    for _ in range(3):
        controller.reconcile()
    assert set(group.instances) == {"i-0", "i-1"}
    assert caplog.text.count(UNKNOWN_MACHINE) == 1
    assert [a.status_message for a in group.activities].count(UNKNOWN_MACHINE) == 1
    machines.states[lost] = state
    controller.reconcile()
    assert caplog.text.count("known again") == 1
    assert not any(a.status_message for a in group.activities)


def test_what_keeps_a_call_from_its_end_is_in_the_activity_until_it_is_over(service, controller, calls):
    group = add(service, controller, 1)
    calls.fails = OSError("no route")
    group.settings["DesiredCapacity"] = 0
    controller.reconcile()
    activity = group.activities[0]
    eventually(lambda: activity.status_message == "OSError: no route", 10, "told")
    calls.fails = None

    def ended():
        controller.reconcile()
        return not group.instances

    eventually(ended, 10, "tried again")
    assert (activity.status_code, activity.status_message) == ("Successful", "")


def test_a_group_that_is_deleted_goes_without_a_word(service, controller, caplog):
    caplog.set_level(logging.INFO)
    group = add(service, controller, 2)
    group.deleting = True

    def gone():
        controller.reconcile()
        return not service.model.groups

    eventually(gone, 10, "the group is gone")
    assert caplog.text == ""


def test_no_second_call_for_what_is_busy(service, controller, calls):
    group = add(service, controller, 1)
    calls.made.clear()
    calls.gate.clear()
    group.settings["DesiredCapacity"] = 0
    for _ in range(5):
        controller.reconcile()
    eventually(lambda: calls.made, 10, "the call is made")
    assert calls.made == [steps.TerminateInstances("i-0")]


def test_one_group_that_cannot_be_planned_keeps_no_other_from_it(service, controller, caplog):
    broken = new_group(desired=1)
    broken.name, broken.settings = "broken", {"MinSize": 0}
    service.model.groups["broken"] = broken
    add(service, controller, 1)
    controller.reconcile()
    assert caplog.text.count("group broken: pass failed") == 1


@pytest.fixture
def elbv2():
    client = boto3.client("elbv2", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        yield client, stub


def test_with_a_target_group_that_is_gone_nothing_is_registered(elbv2):
    client, stub = elbv2
    calls = Calls(None, client)
    stub.add_client_error("register_targets", "TargetGroupNotFound", http_status_code=400)
    made = calls.make(new_group(), steps.RegisterTargets("i-0", ("tg",)))
    assert [next(made), next(made)] == [changes.Unconfirmed("i-0", "tg"), changes.Deregistered("i-0", "tg")]
    with pytest.raises(client.exceptions.TargetGroupNotFoundException):
        next(made)


def test_leaving_a_target_group_that_is_gone_is_done(elbv2):
    client, stub = elbv2
    stub.add_client_error("deregister_targets", "TargetGroupNotFound", http_status_code=400)
    given = list(Calls(None, client).make(new_group(), steps.RegisterTargets("i-0", (), ("tg",))))
    assert given[-1] == changes.Deregistered("i-0", "tg")


def test_what_the_call_before_did_is_known_when_the_next_one_fails(elbv2):
    client, stub = elbv2
    stub.add_response("register_targets", {})
    stub.add_client_error("register_targets", "InternalFailure", http_status_code=500)
    made = Calls(None, client).make(new_group(), steps.RegisterTargets("i-0", ("tg-1", "tg-2")))
    given = [next(made) for _ in range(3)]
    with pytest.raises(client.exceptions.ClientError):
        next(made)
    assert given == [
        changes.Unconfirmed("i-0", "tg-1"),
        changes.Registered("i-0", "tg-1"),
        changes.Unconfirmed("i-0", "tg-2"),
    ]


def test_what_ec2_does_not_know_at_all_is_over():
    client = boto3.client("ec2", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        stub.add_client_error("terminate_instances", "InvalidInstanceID.NotFound", http_status_code=400)
        given = list(Calls(client, None).make(new_group(), steps.TerminateInstances("i-0")))
    assert given == [changes.ForgetInstance("i-0")]
