"""A group whose EC2 and balancers are a few sets: it carries out plans, and checks each step before it is made."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec

from homeport.region.autoscaling import decisions
from homeport.region.autoscaling.apply import apply
from homeport.region.autoscaling.lifecycle import (
    IN_SERVICE,
    LAUNCHING_TRANSITION,
    STATES,
    TERMINATING_TRANSITION,
    is_ending,
    waits,
)
from homeport.region.autoscaling.model import AutoScaling, Group, Instance, LaunchTemplate
from homeport.region.autoscaling.plan import changes, plan, steps
from homeport.region.autoscaling.plan.capacity import BALANCING, DIFFERENCE
from homeport.region.autoscaling.plan.facts import UNKNOWN, Facts, InstanceFacts, Moment
from homeport.region.autoscaling.plan.health import GROUP_DELETED

SPEED = 20.0
ZONES = ("a", "b", "c")
ROUNDS = 6
"""More than this many rounds of changes in one pass would be a plan that does not come to an end."""


class CallError(Exception):
    """A call that failed, or had no answer."""


class Hooked(Group):
    """As a group with lifecycle hooks will be."""

    @property
    def hooked(self) -> frozenset[str]:
        return frozenset({LAUNCHING_TRANSITION, TERMINATING_TRANSITION})


def new_group(minimum=0, desired=0, maximum=6, targets=(), kind=Group):
    return kind(
        name="g",
        arn="arn:aws:autoscaling:eu-central-1:1:g",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        settings={
            "MinSize": minimum,
            "MaxSize": maximum,
            "DesiredCapacity": desired,
            "TerminationPolicies": ["Default"],
            "LaunchTemplate": {"LaunchTemplateId": "lt-1"},
            "HealthCheckType": "ELB",
            "HealthCheckGracePeriod": 30,
            "NewInstancesProtectedFromScaleIn": False,
            "TargetGroupARNs": list(targets),
        },
        subnets={zone: [f"subnet-{zone}1", f"subnet-{zone}2"] for zone in ZONES},
    )


@dataclass
class World:
    """``reconcile`` is one pass of a controller; ``finish`` ends one of the calls that a pass has begun."""

    group: Group
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    model: AutoScaling = field(default_factory=AutoScaling)
    wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ec2: dict[str, str] = field(default_factory=dict)
    """EC2's state by instance id."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Instance id by client token."""
    registered: set[tuple[str, str]] = field(default_factory=set)
    """Target group and instance id."""
    serving: set[tuple[str, str]] = field(default_factory=set)
    """Target group and instance id of those with requests in flight."""
    unhealthy: set[str] = field(default_factory=set)
    """Instances whose targets fail their health checks."""
    endless: set[str] = field(default_factory=set)
    """Instances with a request that does not end by itself."""
    lost: set[str] = field(default_factory=set)
    """Instances whose machines are not known."""
    under_way: dict[str, steps.Call] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.groups[self.group.name] = self.group

    @property
    def now(self) -> Moment:
        return Moment(self.wall, SPEED)

    @property
    def gone(self) -> bool:
        return self.group.name not in self.model.groups

    def pass_time(self, seconds: float) -> None:
        """Let so many of AWS's seconds pass."""
        self.wall += timedelta(seconds=seconds / SPEED)

    def facts(self) -> Facts:
        def of(name: str) -> InstanceFacts:
            state = UNKNOWN if name in self.lost else self.ec2[name]
            why = "it ended" if state in ("stopped", "terminated") else ""
            failing = name in self.unhealthy and any(target == name for _, target in self.registered)
            drained = all((arn, name) not in self.serving for arn in self.group.instances[name].target_groups)
            return InstanceFacts(state, why, "Target.Timeout" if failing else "", drained)

        return Facts({name: of(name) for name in self.group.instances}, frozenset(self.under_way))

    def reconcile(self) -> int:
        """Carry out a plan as a controller does; return how many steps there were."""
        if self.gone:
            return 0
        facts, count, before = self.facts(), 0, []
        for _ in range(ROUNDS):
            planned = self._plan(facts)
            decided = [step for step in planned if isinstance(step, changes.Change)]
            assert not set(decided) & set(before), "planned again what has been applied"
            for change in decided:
                self.check(change)
                apply(self.model, self.group, change, self.now)
                count += 1
            before += decided
            if not decided or self.gone:
                break
        else:
            raise AssertionError(f"no end of changes: {before}")
        calls = [step for step in planned if isinstance(step, steps.Call)]
        assert len({call.key for call in calls}) == len(calls), "two calls for one key"
        for call in calls:
            self.check_call(call)
            self.under_way[call.key] = call
        return count + len(calls)

    def _plan(self, facts: Facts) -> list[steps.Step]:
        group, seed = msgspec.json.encode(self.group), self.chance.random()
        # What was planned from the same facts is the same, whoever holds them; and nothing is changed by it.
        twin = msgspec.json.decode(group, type=type(self.group))
        planned = plan(self.group, facts, self.now, pick=random.Random(seed).choice)
        assert plan(twin, replace(facts), self.now, pick=random.Random(seed).choice) == planned
        assert msgspec.json.encode(self.group) == group, "a plan changed the group"
        return planned

    def check(self, change: changes.Change) -> None:
        """Say whether a change is allowed now, whatever has led to it."""
        group, live = self.group, self.group.live()
        if isinstance(change, changes.InstanceChange):
            assert change.instance_id not in self.under_way, f"busy: {change}"
        match change:
            case changes.BeginLaunch():
                after = len(live) + len(group.launches) + 1
                most = decisions.most_while_rebalancing(group) if change.cause == BALANCING else group.desired
                assert after <= most, f"{after} of at most {most}"
                if change.cause == BALANCING:
                    assert group.allows("AZRebalance")
                    assert len(group.instances) + 1 <= most, "those that are leaving are there too"
                assert group.allows("Launch")
                assert not group.deleting
                assert change.subnet_id in group.subnets[change.zone]
                assert group.retry_at is None or self.wall >= group.retry_at, "before the wait is over"
            case changes.MarkUnhealthy():
                self.check_health(group.instances[change.instance_id])
            case changes.BeginTermination():
                self.check_termination(change)
            case changes.Advance():
                if change.to != IN_SERVICE:
                    assert waits(change.to, group.hooked), "no hook waits there"
                    return
                assert self.ec2[change.instance_id] == "running"
                assert change.instance_id not in self.lost
                if group.allows("AddToLoadBalancer"):
                    assert {(arn, change.instance_id) for arn in group.target_groups} <= self.registered
            case changes.ForgetInstance():
                assert self.ec2[change.instance_id] == "terminated", "forgotten while it may run"
                assert is_ending(group.instances[change.instance_id].lifecycle)
            case changes.ForgetGroup():
                assert group.deleting
                assert not group.instances
                assert not group.launches

    def check_health(self, instance: Instance) -> None:
        """Say whether an instance is unhealthy, from what is true of it and not from what the plan was told."""
        assert self.group.allows("HealthCheck")
        assert instance.instance_id not in self.lost, "nothing is known of it"
        serves = instance.in_service_at and self.now.since(instance.in_service_at) >= self.group.grace
        ended = self.ec2[instance.instance_id] not in ("pending", "running")
        assert ended or (instance.instance_id in self.unhealthy and serves), "healthy"

    def check_termination(self, change: changes.BeginTermination) -> None:
        """Say whether an instance may go."""
        group, instance = self.group, self.group.instances[change.instance_id]
        live = group.live()
        if change.because == GROUP_DELETED:
            assert group.deleting
        elif change.because.startswith(DIFFERENCE):
            assert group.allows("Terminate")
            assert not instance.protected, "protected"
            assert STATES[instance.lifecycle].capacity
            assert len(live) - 1 >= group.desired >= group.minimum, "below what is allowed"
            assert all(i.lifecycle == IN_SERVICE and i.instance_id not in self.lost for i in live)
            assert not group.launches
        else:
            assert group.allows("Terminate")
            assert group.allows("ReplaceUnhealthy")
            assert instance.health_status == "Unhealthy"

    def check_call(self, call: steps.Call) -> None:
        """Say whether a call may be made now."""
        assert call.key not in self.under_way, f"busy: {call}"
        if isinstance(call, steps.RunInstances):
            assert call.key in self.group.launches
            return
        instance = self.group.instances[call.key]
        if isinstance(call, steps.RegisterTargets):
            assert self.group.allows("AddToLoadBalancer")
            assert STATES[instance.lifecycle].capacity
            assert call.key not in self.lost
            return
        assert is_ending(instance.lifecycle)
        if isinstance(call, steps.TerminateInstances) and self.ec2[call.key] == "running" and not self.group.deleting:
            over = instance.drain_until is not None and self.wall >= instance.drain_until
            assert over or not self.of(call.key, self.serving), "requests in flight are cut off"
            assert not self.of(call.key, self.registered), "still registered"

    def finish(self, key: str, how: str = "ok") -> None:
        """End a call: ``ok``; ``lost`` has its effect and no answer; ``refused`` has none."""
        call = self.under_way.pop(key)
        try:
            for change in self._make(call, how):
                apply(self.model, self.group, change, self.now)
        except CallError:
            pass

    def _make(self, call: steps.Call, how: str) -> Iterator[changes.Change]:
        if isinstance(call, steps.RunInstances):
            yield from self._run(call, how)
        elif isinstance(call, steps.RegisterTargets):
            yield from self._register(call, how)
        elif isinstance(call, steps.DeregisterTargets):
            self._may_refuse(how)
            self.registered -= {(arn, call.key) for arn in call.target_groups}
            self._may_lose(how)
            yield changes.Draining(call.key, 60)
        elif isinstance(call, steps.TerminateInstances):
            self._may_refuse(how)
            if self.ec2[call.key] != "terminated":
                self.ec2[call.key] = "shutting-down"
            self.lost.discard(call.key)
            self._may_lose(how)

    def _run(self, call: steps.RunInstances, how: str) -> Iterator[changes.Change]:
        if how == "refused" and call.key not in self.tokens:
            yield changes.LaunchFailed(call.key, "no such image")
            return
        name = self.tokens.setdefault(call.key, f"i-{len(self.tokens)}")
        self.ec2.setdefault(name, "pending")
        self._may_lose(how)
        yield changes.Launched(call.key, name, "t3.micro", LaunchTemplate("lt-1", "lt", "1"))

    def _register(self, call: steps.RegisterTargets, how: str) -> Iterator[changes.Change]:
        for arn in call.register:
            yield changes.Unconfirmed(call.key, arn)
            self._may_refuse(how)
            self.registered.add((arn, call.key))
            self.serving.add((arn, call.key))
            self._may_lose(how)
            yield changes.Registered(call.key, arn)
        for arn in call.deregister:
            yield changes.Unconfirmed(call.key, arn)
            self._may_refuse(how)
            self.registered.discard((arn, call.key))
            # A group does not wait for the drain of a target group that a user detaches.
            self.serving.discard((arn, call.key))
            self._may_lose(how)
            yield changes.Deregistered(call.key, arn)

    def _may_refuse(self, how: str) -> None:
        if how == "refused":
            raise CallError

    def _may_lose(self, how: str) -> None:
        if how == "lost":
            raise CallError

    def change(self, change: changes.Change) -> None:
        """Change the group as a handler of the API does."""
        apply(self.model, self.group, change, self.now)

    def complete(self, name: str) -> None:
        """Complete the hook that an instance waits for, if it does."""
        instance = self.group.instances[name]
        if waits(instance.lifecycle, self.group.hooked):
            self.change(changes.Advance(name, STATES[instance.lifecycle].next))

    def progress(self, name: str) -> None:
        """Let a machine do what comes next by itself."""
        after = {"pending": "running", "stopping": "stopped", "shutting-down": "terminated"}
        self.move(name, after.get(self.ec2[name], self.ec2[name]))

    def move(self, name: str, state: str) -> None:
        """Put a machine into a state of EC2's."""
        self.ec2[name] = state
        if state not in ("pending", "running"):
            self.serving -= self.of(name, self.serving)
        if state == "terminated":
            # As a balancer that is told of it does.
            self.registered -= self.of(name, self.registered)

    def drain(self, name: str) -> None:
        """End the requests in flight of an instance, where it gets no new ones."""
        if name not in self.endless:
            self.serving -= self.of(name, self.serving) - self.registered

    @staticmethod
    def of(name: str, targets: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of the targets that are this instance."""
        return {(arn, target) for arn, target in targets if target == name}

    def settle(self) -> None:
        """Let all end well, until nothing is left to do."""
        self.lost.clear()
        self.unhealthy.clear()
        quiet = 0
        for _ in range(400):
            for name in self.ec2:
                self.progress(name)
                self.drain(name)
            for name in self.group.instances:
                self.complete(name)
            keys = list(self.under_way)
            self.chance.shuffle(keys)
            for key in keys:
                self.finish(key)
            self.pass_time(60)
            quiet = 0 if self.reconcile() or keys else quiet + 1
            # As long as the longest wait between launches.
            if quiet > 10:
                return
        raise AssertionError("no end of steps, or of launches")
