"""What a group does next: a pure function of the group, of what others know of its instances, and of the time."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.plan import capacity, health, progress
from homeport.region.autoscaling.plan.changes import Change
from homeport.region.autoscaling.plan.facts import Facts, Moment, Situation
from homeport.region.autoscaling.plan.steps import Step

CONTRIBUTORS: tuple[Callable[[Situation], Iterator[Step]], ...] = (
    health.delete_instances,
    health.check_health,
    progress.terminate,
    progress.put_into_service,
    capacity.forget_group,
    capacity.reset_failures,
    capacity.match_capacity,
    capacity.rebalance_zones,
    progress.launch,
)
"""In order. Whatever wants something of a group contributes here, and never acts by itself."""


def plan(
    group: Group, facts: Facts, now: Moment, *, pick: Callable[[Sequence[Any]], Any] = random.choice
) -> list[Step]:
    """Return what is to be done, and change nothing; ``pick`` chooses between equals.

    It ends with the first part that changes the group, for the parts after it would look at a group that
    is no longer so: apply the changes and plan again. Calls are to be made once no change is left.
    """
    at = Situation(group, facts, now, pick)
    steps: list[Step] = []
    for contribute in CONTRIBUTORS:
        contributed = list(contribute(at))
        steps += contributed
        if any(isinstance(step, Change) for step in contributed):
            break
    return steps
