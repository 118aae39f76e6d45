"""The facts of a group, asked of the machines and the balancers."""

from collections.abc import Collection
from typing import Protocol

from homeport.region.autoscaling.model import Group, Instance
from homeport.region.autoscaling.plan.facts import Facts, InstanceFacts


class Machines(Protocol):
    """What a group must know of instances beyond the API: asked on every pass, so it must be cheap."""

    def state(self, instance_id: str) -> str:
        """Return EC2's state: pending, running, stopping, stopped, shutting-down or terminated; else unknown."""

    def why(self, instance_id: str) -> str:
        """Return why it does not run, in a line."""


class Targets(Protocol):
    """What a group must know of the balancers."""

    def unhealthy(self, target_group: str, instance_id: str) -> str:
        """Return why the target fails its health checks, or nothing."""

    def drained(self, target_group: str, instance_id: str) -> bool:
        """Return whether a deregistered target has no request in flight any more."""


_AS_MOST_ARE = {state: InstanceFacts(state) for state in ("pending", "running")}


def gather(group: Group, machines: Machines, targets: Targets, busy: Collection[str]) -> Facts:
    """Return what is known of a group's instances now; ``busy`` holds the keys of the calls under way.

    Only what a plan can need is asked, for each pass asks it again.
    """
    elb = group.elb_health
    known = {i.instance_id: _of(i, machines, targets, elb_health=elb) for i in group.instances.values()}
    return Facts(known, busy)


def _of(instance: Instance, machines: Machines, targets: Targets, *, elb_health: bool) -> InstanceFacts:
    state, name = machines.state(instance.instance_id), instance.instance_id
    if state not in _AS_MOST_ARE:
        return InstanceFacts(state, why=machines.why(name))
    draining = instance.drain_until is not None
    unhealthy = ""
    if elb_health and not draining:
        unhealthy = next((why for arn in instance.target_groups if (why := targets.unhealthy(arn, name))), "")
    drained = draining and all(targets.drained(arn, name) for arn in instance.target_groups)
    if unhealthy or drained:
        return InstanceFacts(state, unhealthy=unhealthy, drained=drained)
    return _AS_MOST_ARE[state]
