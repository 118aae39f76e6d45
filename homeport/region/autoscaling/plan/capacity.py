"""How many instances there are, and in which zones."""

from collections.abc import Iterator

from homeport.region.autoscaling import decisions
from homeport.region.autoscaling.lifecycle import STATES
from homeport.region.autoscaling.model import Instance
from homeport.region.autoscaling.plan.changes import BeginLaunch, BeginTermination, ForgetGroup, ResetFailures
from homeport.region.autoscaling.plan.facts import UNKNOWN, Situation
from homeport.region.autoscaling.plan.health import EARLY_SECONDS
from homeport.region.autoscaling.plan.steps import Step

DIFFERENCE = "a difference between desired and actual capacity, "
BALANCING = "An instance was launched to aid in balancing the group's zones."


def forget_group(at: Situation) -> Iterator[Step]:
    """Remove a group that is being deleted once it is empty."""
    if at.group.deleting and not at.group.instances and not at.group.launches:
        yield ForgetGroup()


def reset_failures(at: Situation) -> Iterator[Step]:
    """End a row of failures, but only when the newest instances have stayed."""
    if not at.group.failures:
        return
    live = at.group.live()
    if live and _all_in_service(at, live) and all(_age(at, instance) >= EARLY_SECONDS for instance in live):
        yield ResetFailures()


def match_capacity(at: Situation) -> Iterator[Step]:
    """Launch what is missing; terminate what is too many, once all that is there is in service."""
    group, now = at.group, at.now
    if group.deleting:
        return
    live = group.live()
    missing = group.desired - len(live) - len(group.launches)
    if missing > 0 and group.allows("Launch") and not _waits_to_launch(at):
        cause = (
            f"At {now.wall:%Y-%m-%dT%H:%M:%SZ} an instance was started in response to {DIFFERENCE}"
            f"increasing the capacity from {len(live)} to {group.desired}."
        )
        yield from _launches(at, live, missing, cause)
    elif missing < 0 and group.allows("Terminate") and _all_in_service(at, live):
        yield from _scale_in(at, live, -missing)


def rebalance_zones(at: Situation) -> Iterator[Step]:
    """Launch in the emptiest zone, so that scale-in then takes from the fullest."""
    group = at.group
    live = group.live()
    if (
        group.desired == len(live)
        and not group.deleting
        and group.allows("AZRebalance")
        and group.allows("Launch")
        and decisions.unbalanced(group)
        and _all_in_service(at, live)
        and not _waits_to_launch(at)
        and len(group.instances) < decisions.most_while_rebalancing(group)
    ):
        yield from _launches(at, live, 1, BALANCING)


def _launches(at: Situation, live: list[Instance], count: int, cause: str) -> Iterator[Step]:
    occupied = [i.zone for i in live] + [launch.zone for launch in at.group.launches.values()]
    for _ in range(count):
        zone = decisions.choose_zone(at.group.zones, occupied)
        occupied.append(zone)
        yield BeginLaunch(zone, at.pick(at.group.subnets[zone]), cause)


def _scale_in(at: Situation, live: list[Instance], count: int) -> Iterator[Step]:
    chosen: list[str] = []
    for _ in range(count):
        instance = decisions.choose_scale_in(at.group, leaving=chosen, pick=at.pick)
        if instance is None:
            return
        chosen.append(instance.instance_id)
        shrinking = f"shrinking the capacity from {len(live)} to {at.group.desired}"
        yield BeginTermination(instance.instance_id, DIFFERENCE + shrinking)


def _waits_to_launch(at: Situation) -> bool:
    return at.group.retry_at is not None and at.now.wall < at.group.retry_at


def _all_in_service(at: Situation, live: list[Instance]) -> bool:
    """Whether all capacity is known to be there, and to stay as it is: what goes else might be all that serves."""
    known, busy = at.facts.instances, at.facts.busy
    return not at.group.launches and all(
        STATES[i.lifecycle].traffic and known[i.instance_id].state != UNKNOWN and i.instance_id not in busy
        for i in live
    )


def _age(at: Situation, instance: Instance) -> float:
    """Return AWS's seconds that an instance has been in service."""
    return 0.0 if instance.in_service_at is None else at.now.since(instance.in_service_at)
