"""What a group does next, case by case, where a property of all cases would not say it."""

import itertools
import random

import pytest

from homeport.region.autoscaling.lifecycle import (
    IN_SERVICE,
    PENDING,
    TERMINATING,
)
from homeport.region.autoscaling.plan import changes, steps
from homeport.region.autoscaling.plan.health import UNKNOWN_MACHINE
from tests.unit.simulated_group import Hooked, World, new_group


def settled(**fields):
    world = World(new_group(**fields), random.Random(1))
    world.settle()
    return world


def members(world):
    return list(world.group.instances.values())


def test_the_pass_that_terminates_an_unhealthy_instance_fills_its_place():
    world = settled(desired=3, targets=["tg"])
    victim = members(world)[0]
    world.move(victim.instance_id, "stopped")
    world.reconcile()
    assert victim.lifecycle == TERMINATING
    assert "EC2 health check" in world.group.activities[1].cause
    assert world.group.activities[0].description == "Launching a new EC2 instance"
    assert {type(call) for call in world.under_way.values()} == {steps.RunInstances, steps.TerminateInstances}


def test_what_is_called_unhealthy_stays_so_until_it_is_replaced():
    world = settled(desired=1, targets=["tg"])
    (member,) = members(world)
    world.group.suspended["ReplaceUnhealthy"] = "User suspended"
    world.unhealthy.add(member.instance_id)
    world.reconcile()
    world.unhealthy.clear()
    world.reconcile()
    assert (member.lifecycle, member.health_status) == (IN_SERVICE, "Unhealthy")
    world.group.suspended.clear()
    world.reconcile()
    assert member.lifecycle == TERMINATING
    assert "ELB system health check failure (Target.Timeout)" in world.group.activities[1].cause


def test_nothing_is_decided_about_a_machine_that_is_not_known_and_that_is_said_once():
    world = settled(desired=2, targets=["tg"])
    lost = members(world)[0]
    world.lost.add(lost.instance_id)
    assert world.reconcile() == 1
    assert world.reconcile() == 0
    told = next(a for a in world.group.activities if a.activity_id == lost.activity_id)
    assert (lost.explanation, told.status_message, told.status_code) == (UNKNOWN_MACHINE, UNKNOWN_MACHINE, "Successful")
    # Neither it nor the one that is known goes: that may be all that serves.
    world.group.settings["DesiredCapacity"] = 1
    assert world.reconcile() == 0
    world.lost.clear()
    world.reconcile()
    assert (lost.explanation, told.status_message) == ("", "")
    assert len(world.group.live()) == 1


def test_launches_of_a_row_of_failures_wait_longer_and_longer():
    world = World(new_group(desired=1))
    starts = []
    while len(starts) < 9:
        world.reconcile()
        for key in list(world.under_way):
            starts.append(world.group.launches[key].decided_at)
            world.finish(key, "refused")
        world.pass_time(1)
    waits = [(after - before).total_seconds() * 20 for before, after in itertools.pairwise(starts)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


def test_launches_that_fail_together_are_one_failure():
    world = World(new_group(desired=5))
    world.reconcile()
    for key in list(world.under_way):
        world.pass_time(1)
        world.finish(key, "refused")
    assert world.group.failures == 1


@pytest.mark.parametrize(("seconds", "failures"), [(59, 1), (61, 0)])
def test_the_end_soon_after_the_start_is_a_failure_but_the_first_costs_no_wait(seconds, failures):
    world = World(new_group(desired=1))
    for _ in range(3):
        world.reconcile()
        for key in list(world.under_way):
            world.finish(key)
        for name in world.ec2:
            world.progress(name)
    (member,) = members(world)
    assert member.lifecycle == IN_SERVICE
    world.pass_time(seconds)
    world.move(member.instance_id, "stopped")
    world.reconcile()
    assert world.group.failures == failures
    assert len(world.group.launches) == 1


def test_what_is_leaving_is_deregistered_then_drains_then_ends():
    world = settled(desired=1, targets=["tg"])
    (member,) = members(world)
    world.group.settings["DesiredCapacity"] = 0
    world.endless.add(member.instance_id)
    world.reconcile()
    assert world.group.activities[0].status_code == "WaitingForELBConnectionDraining"
    assert world.under_way == {member.instance_id: steps.DeregisterTargets(member.instance_id, ("tg",))}
    world.finish(member.instance_id)
    assert world.reconcile() == 0
    world.pass_time(59)
    assert world.reconcile() == 0
    world.pass_time(2)
    world.reconcile()
    assert world.under_way == {member.instance_id: steps.TerminateInstances(member.instance_id)}


def test_a_registration_whose_answer_was_lost_is_taken_back(world_with_a_lost_answer):
    world, member = world_with_a_lost_answer(before=["tg"], wanted=["tg", "lost"])
    assert ("lost", member.instance_id) in world.registered
    world.change(changes.BeginTermination(member.instance_id, "a user request"))
    world.reconcile()
    assert set(world.under_way[member.instance_id].target_groups) == {"tg", "lost"}


def test_a_deregistration_whose_answer_was_lost_is_not_taken_for_a_registration(world_with_a_lost_answer):
    world, member = world_with_a_lost_answer(before=["tg", "lost"], wanted=["tg"])
    assert ("lost", member.instance_id) not in world.registered
    world.group.settings["TargetGroupARNs"] = ["tg", "lost"]
    world.reconcile()
    assert world.under_way[member.instance_id].register == ("lost",)


@pytest.fixture
def world_with_a_lost_answer():
    def make(*, before, wanted):
        world = settled(desired=1, targets=before)
        world.group.settings["TargetGroupARNs"] = wanted
        world.reconcile()
        (member,) = members(world)
        world.finish(member.instance_id, "lost")
        return world, member

    return make


def test_a_machine_that_is_not_known_drains_too_and_ec2_is_asked_to_end_it():
    world = settled(desired=1)
    (member,) = members(world)
    world.lost.add(member.instance_id)
    world.change(changes.BeginTermination(member.instance_id, "a user request"))
    world.group.settings["DesiredCapacity"] = 0
    world.reconcile()
    assert world.under_way == {member.instance_id: steps.TerminateInstances(member.instance_id)}


def test_hooks_wait_in_the_states_that_the_table_says_and_nowhere_else():
    world = World(new_group(desired=1, targets=["tg"], kind=Hooked))

    def go_on():
        for _ in range(5):
            for key in list(world.under_way):
                world.finish(key)
            for name in world.ec2:
                world.progress(name)
                world.drain(name)
            world.reconcile()

    go_on()
    (member,) = members(world)
    assert member.lifecycle == "Pending:Wait"
    assert not world.registered
    world.complete(member.instance_id)
    go_on()
    assert member.lifecycle == IN_SERVICE
    world.change(changes.BeginTermination(member.instance_id, "a user request"))
    world.group.settings["DesiredCapacity"] = 0
    go_on()
    assert member.lifecycle == "Terminating:Wait"
    assert not world.registered
    assert world.ec2[member.instance_id] == "running"
    world.complete(member.instance_id)
    go_on()
    assert not world.group.instances


def test_no_instance_skips_what_the_table_says():
    world = settled(desired=1)
    (member,) = members(world)
    with pytest.raises(ValueError, match="no instance goes from InService to Pending"):
        world.change(changes.Advance(member.instance_id, PENDING))
