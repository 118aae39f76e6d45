"""Whatever happens to a group, in whatever order: the plan never goes too far, and ends where it should."""

import random

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from homeport.region.autoscaling import decisions
from homeport.region.autoscaling.lifecycle import IN_SERVICE, is_ending, termination_of
from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.plan.changes import BeginTermination
from homeport.region.autoscaling.suspension import PROCESSES
from tests.unit.simulated_group import ZONES, Hooked, World, new_group

TARGETS = ["tg-1", "tg-2"]
choice = st.integers(0, 1000)


class AGroup(RuleBasedStateMachine):
    """Users, machines, balancers and failing calls do their worst between passes."""

    @initialize(
        seed=st.integers(0, 2**32),
        desired=st.integers(0, 6),
        arns=st.sampled_from([TARGETS, TARGETS[:1], []]),
        zones=st.sampled_from([ZONES, ZONES[:2], ZONES[1:2]]),
        settles=st.booleans(),
        awake=st.booleans(),
        ends=st.sampled_from([False, False, True]),
        kind=st.sampled_from([Group, Group, Hooked]),
    )
    def begin(self, *, seed, desired, arns, zones, settles, awake, ends, kind):
        """``awake``: a pass follows on whatever happens; ``ends``: the group is deleted at last."""
        self.awake, self.ends = awake, ends
        group = new_group(desired=desired, targets=arns, kind=kind)
        group.subnets = {zone: group.subnets[zone] for zone in sorted(zones)}
        self.world = World(group, random.Random(seed))
        if settles:
            self.world.settle()

    @property
    def group(self):
        return self.world.group

    def member(self, number):
        return list(self.group.instances.values())[number % len(self.group.instances)]

    def acts(self):
        return hasattr(self, "world") and not self.world.gone and not self.group.deleting

    def has_members(self):
        return hasattr(self, "world") and bool(self.group.instances)

    # The controller, and what it waits for.

    @rule(seconds=st.sampled_from([0, 1, 20, 90, 400]))
    def a_pass(self, seconds):
        self.world.pass_time(seconds)
        self.world.reconcile()
        assert self.world.reconcile() == 0, "a second pass over the same facts does something"

    @precondition(lambda self: self.world.under_way)
    @rule(number=choice, how=st.sampled_from(["ok", "lost", "refused"]))
    def a_call_ends(self, number, how):
        keys = list(self.world.under_way)
        self.world.finish(keys[number % len(keys)], how)

    @precondition(lambda self: self.world.under_way)
    @rule()
    def all_calls_end(self):
        for key in list(self.world.under_way):
            self.world.finish(key)
        self.world.reconcile()

    @precondition(lambda self: self.world.ec2)
    @rule()
    def machines_go_on(self):
        for name in self.world.ec2:
            self.world.progress(name)
        self.world.reconcile()

    @precondition(has_members)
    @rule(number=choice)
    def a_hook_is_completed(self, number):
        self.world.complete(self.member(number).instance_id)

    @precondition(lambda self: self.world.ec2)
    @rule(number=choice)
    def a_drain_ends(self, number):
        self.world.drain(list(self.world.ec2)[number % len(self.world.ec2)])

    # What goes wrong.

    @precondition(has_members)
    @rule(number=choice, state=st.sampled_from(["stopped", "shutting-down", "terminated"]))
    def a_machine_ends(self, number, state):
        name = self.member(number).instance_id
        if self.world.ec2[name] not in ("shutting-down", "terminated"):
            self.world.move(name, state)

    @precondition(has_members)
    @rule(number=choice, fails=st.booleans())
    def health_checks_change(self, number, fails):
        change = self.world.unhealthy.add if fails else self.world.unhealthy.discard
        change(self.member(number).instance_id)

    @precondition(has_members)
    @rule(number=choice, lost=st.booleans())
    def a_machine_is_lost_or_found(self, number, lost):
        change = self.world.lost.add if lost else self.world.lost.discard
        change(self.member(number).instance_id)

    @precondition(has_members)
    @rule(number=choice)
    def a_request_does_not_end(self, number):
        self.world.endless.add(self.member(number).instance_id)

    # What users ask for, as the API's handlers do it.

    @precondition(acts)
    @rule(desired=st.integers(0, 8))
    def another_capacity(self, desired):
        if self.group.minimum <= desired <= self.group.maximum:
            self.group.settings["DesiredCapacity"] = desired

    @precondition(acts)
    @rule(sizes=st.tuples(st.integers(0, 8), st.integers(0, 8)))
    def other_limits(self, sizes):
        low, high = min(sizes), max(sizes)
        desired = min(max(self.group.desired, low), high)
        self.group.settings |= {"MinSize": low, "MaxSize": high, "DesiredCapacity": desired}

    @precondition(acts)
    @rule(zones=st.lists(st.sampled_from(ZONES), min_size=1, unique=True))
    def other_zones(self, zones):
        self.group.subnets = {zone: [f"subnet-{zone}1"] for zone in sorted(zones)}

    @precondition(acts)
    @rule(arns=st.lists(st.sampled_from(TARGETS), unique=True))
    def other_target_groups(self, arns):
        self.group.settings["TargetGroupARNs"] = arns

    @precondition(acts)
    @rule(process=st.sampled_from(PROCESSES), suspends=st.booleans())
    def a_process_is_suspended_or_resumed(self, process, suspends):
        if suspends:
            self.group.suspended[process] = "User suspended"
        else:
            self.group.suspended.pop(process, None)

    @precondition(acts)
    @rule(protects=st.booleans(), number=choice)
    def protection_changes(self, protects, number):
        if self.group.instances:
            self.member(number).protected = protects
        else:
            self.group.settings["NewInstancesProtectedFromScaleIn"] = protects

    @precondition(has_members)
    @rule(number=choice, shrinks=st.booleans())
    def a_user_terminates(self, number, shrinks):
        instance = self.member(number)
        if termination_of(instance.lifecycle):
            if shrinks and self.group.desired > self.group.minimum:
                self.group.settings["DesiredCapacity"] -= 1
            self.world.change(BeginTermination(instance.instance_id, "a user request"))

    @precondition(has_members)
    @rule(number=choice, sick=st.booleans())
    def a_user_sets_health(self, number, sick):
        instance = self.member(number)
        instance.health_status = "Unhealthy" if sick else "Healthy"
        instance.unhealthy_because = "a user health-check" if sick else ""

    @precondition(acts)
    @rule(really=st.sampled_from([*[False] * 9, True]))
    def a_user_deletes_the_group(self, really):
        if really:
            self.delete()

    def delete(self):
        self.group.deleting = True
        self.group.settings |= {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}

    # What always holds, and where it ends.

    @invariant()
    def the_loop_is_woken(self):
        if hasattr(self, "world") and self.awake:
            self.world.reconcile()

    @invariant()
    def no_machine_is_nobody_s(self):
        if hasattr(self, "world"):
            launching = {self.world.tokens.get(activity_id) for activity_id in self.group.launches}
            for name, state in self.world.ec2.items():
                assert state == "terminated" or name in self.group.instances or name in launching, name

    def teardown(self):
        if hasattr(self, "world"):
            self.group.suspended.clear()
            if self.ends:
                self.delete()
            self.world.settle()
            self.settled()

    def settled(self):
        group, world = self.group, self.world
        running = {name for name, state in world.ec2.items() if state != "terminated"}
        assert running == set(group.instances)
        if group.deleting:
            assert world.gone
            assert not running
            return
        members = list(group.instances.values())
        assert all(i.lifecycle == IN_SERVICE and i.health_status == "Healthy" for i in members)
        wanted = {(arn, i.instance_id) for arn in group.target_groups for i in members}
        assert wanted == world.registered, [
            (i.instance_id, i.lifecycle, i.target_groups, i.unconfirmed) for i in members
        ]
        too_many = len(members) - group.desired
        assert too_many == 0 or (too_many > 0 and all(i.protected for i in members))
        assert not decisions.unbalanced(group)
        assert not (group.failures and members)
        assert all(activity.end_time for activity in group.activities)
        assert not any(is_ending(i.lifecycle) for i in members)


TestAGroup = AGroup.TestCase
TestAGroup.settings = settings(max_examples=250, stateful_step_count=50, deadline=None, report_multiple_bugs=False)
