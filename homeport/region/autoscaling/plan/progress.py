"""What moves each instance on, into service and out of it, one step at a time."""

from collections.abc import Iterator

from homeport.region.autoscaling.lifecycle import IN_SERVICE, STATES, following, is_ending, waits
from homeport.region.autoscaling.model import Instance
from homeport.region.autoscaling.plan.changes import Advance, ForgetInstance
from homeport.region.autoscaling.plan.facts import UNKNOWN, InstanceFacts, Situation
from homeport.region.autoscaling.plan.health import why_unhealthy
from homeport.region.autoscaling.plan.steps import (
    DeregisterTargets,
    RegisterTargets,
    RunInstances,
    Step,
    TerminateInstances,
)


def launch(at: Situation) -> Iterator[Step]:
    """Launch what was decided."""
    for activity_id in at.group.launches:
        if activity_id not in at.facts.busy:
            yield RunInstances(activity_id)


def put_into_service(at: Situation) -> Iterator[Step]:
    """Register what runs and is on its way, then call it in service; keep what is in service registered."""
    group, hooked = at.group, at.group.hooked
    if group.deleting:
        return
    wanted, registers = group.target_groups, group.allows("AddToLoadBalancer")
    for instance, fact in at.idle():
        settled = instance.lifecycle == IN_SERVICE
        registered = instance.target_groups == wanted and not instance.unconfirmed
        if settled and (registered or not registers or fact.state == UNKNOWN):
            continue
        after = following(instance.lifecycle, hooked)
        arrives = fact.state == "running" and STATES[instance.lifecycle].capacity and bool(after)
        if not (settled or arrives) or waits(instance.lifecycle, hooked) or why_unhealthy(at, instance, fact):
            continue
        call = _registration(instance, wanted)
        if (settled or STATES[after].traffic) and registers and (call.register or call.deregister):
            yield call
        elif arrives:
            yield Advance(instance.instance_id, after)


def _registration(instance: Instance, wanted: list[str]) -> RegisterTargets:
    confirmed = [arn for arn in instance.target_groups if arn not in instance.unconfirmed]
    return RegisterTargets(
        instance.instance_id,
        register=tuple(arn for arn in wanted if arn not in confirmed),
        deregister=tuple(arn for arn in instance.target_groups if arn not in wanted),
    )


def terminate(at: Situation) -> Iterator[Step]:
    """Deregister what is leaving, let it drain, wait for its hooks, and terminate it."""
    for instance, fact in at.idle():
        if is_ending(instance.lifecycle):
            yield from _termination(at, instance, fact)


def _termination(at: Situation, instance: Instance, fact: InstanceFacts) -> Iterator[Step]:
    deleting, hooked = at.group.deleting, at.group.hooked
    after = following(instance.lifecycle, hooked)
    # A machine that nothing is known of may run: it drains, and EC2 is asked to terminate it.
    serves = fact.state in ("running", UNKNOWN) and not deleting
    if fact.state == "terminated":
        yield ForgetInstance(instance.instance_id)
    elif fact.state == "shutting-down":
        return
    elif serves and not _drained(at, instance, fact):
        if instance.drain_until is None:
            yield DeregisterTargets(instance.instance_id, tuple(instance.target_groups))
    elif not deleting and waits(instance.lifecycle, hooked):
        return
    elif not deleting and STATES[after].next:
        yield Advance(instance.instance_id, after)
    else:
        yield TerminateInstances(instance.instance_id)


def _drained(at: Situation, instance: Instance, fact: InstanceFacts) -> bool:
    """Whether nobody would notice: AWS ends a drain early when no request is in flight."""
    if not instance.target_groups:
        return True
    if instance.drain_until is None:
        return False
    return fact.drained or at.now.wall >= instance.drain_until
