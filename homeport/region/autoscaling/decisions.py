"""What a group should do next, as pure functions: no clock, no API, no threads."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from homeport.region.autoscaling.model import Group, Instance

MAX_BACKOFF_SECONDS = 300.0


def choose_zone(zones: Sequence[str], occupied: Iterable[str]) -> str:
    """Return the zone with the fewest members; the group's own order decides between equals."""
    counts = Counter(occupied)
    return min(zones, key=lambda zone: (counts[zone], zones.index(zone)))


def choose_scale_in(
    group: Group, *, leaving: Collection[str] = (), pick: Callable[[Sequence[Instance]], Instance] = random.choice
) -> Instance | None:
    """Return the instance to terminate when the group shrinks, or None when all are protected.

    ``leaving`` holds the ids of those that have been chosen before.

    The order is AWS's: a zone that the group has left, else the zone with the most instances and at
    least one that is not protected; then the group's termination policies (by default instances of
    another launch template, then the oldest version of this one), then chance.
    """
    live = [i for i in group.live() if i.instance_id not in leaving]
    candidates = [i for i in live if not i.protected]
    if not candidates:
        return None
    counts = Counter(i.zone for i in live)
    zones = {i.zone for i in candidates if i.zone not in group.subnets}
    zones = zones or {i.zone for i in candidates}
    most = max(counts[zone] for zone in zones)
    left = [i for i in candidates if i.zone in zones and counts[i.zone] == most]
    for policy in group.settings["TerminationPolicies"]:
        left = _ORDERS.get(policy, _any)(group, left)
    return pick(left)


def unbalanced(group: Group) -> bool:
    """Return whether moving one instance that may be moved to another zone would even the group out."""
    live = group.live()
    counts = Counter(i.zone for i in live)
    fewest = min(counts[zone] for zone in group.zones)
    uneven = {zone for zone, count in counts.items() if zone not in group.subnets or count - fewest >= 2}
    return bool(uneven) and any(i.zone in uneven and not i.protected for i in live)


def most_while_rebalancing(group: Group) -> int:
    """Return how many instances a group may hold while it launches before it terminates.

    AWS: the maximum size plus ten percent of it, at least one.
    """
    return group.maximum + max(group.maximum // 10, 1)


def backoff(failures: int) -> float:
    """Return AWS's seconds to wait after so many failed launches in a row: 5, 10, 20 ... 300."""
    return min(5.0 * 2 ** min(failures - 1, 10), MAX_BACKOFF_SECONDS) if failures > 0 else 0.0


def _oldest_template(group: Group, instances: list[Instance]) -> list[Instance]:
    ages = {i.instance_id: _template_age(group, i) for i in instances}
    return [i for i in instances if ages[i.instance_id] == min(ages.values())]


def _template_age(group: Group, instance: Instance) -> tuple[bool, int]:
    if instance.launch_template is None:
        return False, 0
    current = instance.launch_template.template_id == group.settings["LaunchTemplate"]["LaunchTemplateId"]
    # Numbers of different templates say nothing about each other.
    return current, int(instance.launch_template.version) if current else 0


def _oldest(_: Group, instances: list[Instance]) -> list[Instance]:
    return sorted(instances, key=_age)[:1]


def _newest(_: Group, instances: list[Instance]) -> list[Instance]:
    return sorted(instances, key=_age)[-1:]


def _age(instance: Instance) -> tuple[bool, str]:
    # Those that never came into service are the newest.
    return instance.in_service_at is None, instance.in_service_at.isoformat() if instance.in_service_at else ""


def _any(_: Group, instances: list[Instance]) -> list[Instance]:
    return instances


_ORDERS: dict[str, Callable[[Group, list[Instance]], list[Instance]]] = {
    "Default": _oldest_template,
    "OldestLaunchTemplate": _oldest_template,
    "OldestInstance": _oldest,
    "NewestInstance": _newest,
}
