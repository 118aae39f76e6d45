"""What a group should do next, as pure functions: no clock, no API, no threads."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from homeport.region.autoscaling.model import IN_SERVICE, Group, Instance

MAX_BACKOFF_SECONDS = 300.0


def choose_zone(zones: Sequence[str], occupied: Iterable[str]) -> str:
    """Return the zone with the fewest members; the group's own order decides between equals."""
    counts = Counter(occupied)
    return min(zones, key=lambda zone: (counts[zone], zones.index(zone)))


def crowded_zones(instances: Sequence[Instance]) -> list[str]:
    """Return the zones that hold the most of ``instances``."""
    counts = Counter(instance.zone for instance in instances)
    most = max(counts.values(), default=0)
    return [zone for zone, count in counts.items() if count == most]


def choose_scale_in(group: Group, *, pick: Callable[[Sequence[Instance]], Instance] = random.choice) -> Instance | None:
    """Return the instance to terminate when the group shrinks, or None when all are protected.

    The order is AWS's default termination policy: the zone with the most instances that are not
    protected, then the group's termination policies (by default the oldest launch template
    version), then chance. Pending instances go first: they serve nobody yet.
    """
    candidates = [i for i in group.live() if not i.protected]
    if not candidates:
        return None
    zones = crowded_zones(group.live())
    in_zone = [i for i in candidates if i.zone in zones] or candidates
    in_zone = [i for i in in_zone if i.lifecycle != IN_SERVICE] or in_zone
    for policy in group.settings["TerminationPolicies"]:
        in_zone = _ORDERS.get(policy, _any)(in_zone)
    return pick(in_zone)


def unbalanced(group: Group) -> bool:
    """Return whether moving one instance to another zone would even the group out."""
    counts = Counter(dict.fromkeys(group.zones, 0))
    counts.update(i.zone for i in group.live() if i.zone in group.subnets)
    return len(group.zones) > 1 and max(counts.values()) - min(counts.values()) >= 2


def most_while_rebalancing(group: Group) -> int:
    """Return how many instances a group may hold while it launches before it terminates.

    AWS: the maximum size plus ten percent of it, at least one.
    """
    return group.maximum + max(group.maximum // 10, 1)


def backoff(failures: int) -> float:
    """Return AWS's seconds to wait after so many failed launches in a row: 5, 10, 20 ... 300."""
    return min(5.0 * 2 ** min(failures - 1, 10), MAX_BACKOFF_SECONDS) if failures else 0.0


def _version(instance: Instance) -> int:
    return int(instance.launch_template.version) if instance.launch_template else 0


def _oldest_template(instances: list[Instance]) -> list[Instance]:
    oldest = min(_version(i) for i in instances)
    return [i for i in instances if _version(i) == oldest]


def _oldest(instances: list[Instance]) -> list[Instance]:
    return sorted(instances, key=_age)[:1]


def _newest(instances: list[Instance]) -> list[Instance]:
    return sorted(instances, key=_age)[-1:]


def _age(instance: Instance) -> tuple[bool, str]:
    # Those that never came into service are the newest.
    return instance.in_service_at is None, instance.in_service_at.isoformat() if instance.in_service_at else ""


def _any(instances: list[Instance]) -> list[Instance]:
    return instances


_ORDERS: dict[str, Callable[[list[Instance]], list[Instance]]] = {
    "Default": _oldest_template,
    "OldestLaunchTemplate": _oldest_template,
    "OldestInstance": _oldest,
    "NewestInstance": _newest,
}
