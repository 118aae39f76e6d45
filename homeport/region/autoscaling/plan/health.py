"""Which instances are to be terminated whatever the capacity: the group goes, or they are unhealthy."""

from collections.abc import Iterator

from homeport.region.autoscaling.lifecycle import STATES, is_ending, termination_of
from homeport.region.autoscaling.model import Instance
from homeport.region.autoscaling.plan.changes import BeginTermination, CountFailure, Explain, MarkUnhealthy
from homeport.region.autoscaling.plan.facts import UNKNOWN, InstanceFacts, Situation
from homeport.region.autoscaling.plan.steps import Step

EARLY_SECONDS = 60
"""AWS's seconds in service before which the end of an instance counts as a failed launch.

AWS has no such rule, but takes minutes to replace what ends at its start; here it would be an endless
loop of processes.
"""
GROUP_DELETED = "the deletion of its group"
UNKNOWN_MACHINE = "Nothing is known of the instance's machine; the group decides nothing about it until there is."


def delete_instances(at: Situation) -> Iterator[Step]:
    """Terminate all instances of a group that is being deleted."""
    if at.group.deleting:
        for instance, _ in at.idle():
            if termination_of(instance.lifecycle):
                yield BeginTermination(instance.instance_id, GROUP_DELETED)


def check_health(at: Situation) -> Iterator[Step]:
    """Mark the unhealthy, and terminate them: the same pass fills their places, unless a row of them waits."""
    group = at.group
    if group.deleting:
        return
    replaces = group.allows("ReplaceUnhealthy") and group.allows("Terminate")
    for instance, fact in at.idle():
        if is_ending(instance.lifecycle):
            continue
        explanation = UNKNOWN_MACHINE if fact.state == UNKNOWN else ""
        if instance.explanation != explanation:
            yield Explain(instance.instance_id, explanation)
        why = why_unhealthy(at, instance, fact)
        if why and instance.health_status != "Unhealthy":
            yield MarkUnhealthy(instance.instance_id, why)
        if why and replaces:
            yield from _failure(at, instance)
            yield BeginTermination(instance.instance_id, why)


def why_unhealthy(at: Situation, instance: Instance, fact: InstanceFacts) -> str:
    """Return why an instance is to be replaced: a user's word, EC2's, or the load balancer's after the grace."""
    if not STATES[instance.lifecycle].capacity:
        return ""
    if instance.unhealthy_because:
        return instance.unhealthy_because
    if fact.state == UNKNOWN or not at.group.allows("HealthCheck"):
        return ""
    if fact.state not in ("pending", "running"):
        why = f" ({fact.why})" if fact.why else ""
        return f"an EC2 health check indicating it has been terminated or stopped{why}"
    if fact.unhealthy and at.group.elb_health and instance.in_service_at is not None:
        in_grace = at.now.since(instance.in_service_at) < at.group.grace
        return "" if in_grace else f"an ELB system health check failure ({fact.unhealthy})"
    return ""


def _failure(at: Situation, instance: Instance) -> Iterator[Step]:
    if instance.in_service_at is None:
        yield CountFailure(instance.launched_at)
    elif at.now.since(instance.in_service_at) < EARLY_SECONDS:
        # One may be killed soon after its start, and is replaced at once; a row of them waits.
        yield CountFailure(instance.launched_at, free=1)
