"""What a plan is made from, beside the group itself."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from homeport.region.autoscaling.model import Group, Instance

UNKNOWN = "unknown"
"""The state of an instance whose machine is not known: it may run, so nothing is decided about it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of wall time, and how fast AWS's time runs."""

    wall: datetime
    speed: float = 1.0

    def since(self, earlier: datetime) -> float:
        """Return AWS's seconds that have passed since ``earlier``, a wall time."""
        return (self.wall - earlier).total_seconds() * self.speed

    def after(self, period: float) -> datetime:
        """Return the wall time when ``period`` of AWS's seconds will have passed."""
        return self.wall + timedelta(seconds=period / self.speed)


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What others know of an instance."""

    state: str
    """EC2's state, or ``UNKNOWN``."""
    why: str = ""
    """Why it does not run, in a line, where EC2 says so."""
    unhealthy: str = ""
    """Why a target of it fails its health checks."""
    drained: bool = False
    """Whether it has been deregistered and no target of it has a request in flight any more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What others know of a group's instances."""

    instances: Mapping[str, InstanceFacts]
    """By instance id."""
    busy: Collection[str] = ()
    """The keys of the calls under way: instance ids, and for launches the ids of their activities."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the parts of a plan look at."""

    group: Group
    facts: Facts
    now: Moment
    pick: Callable[[Sequence[Any]], Any] = random.choice
    """Chooses between equals."""

    def idle(self) -> Iterator[tuple[Instance, InstanceFacts]]:
        """Give the instances that no call is under way for; a busy one is left alone."""
        known, busy = self.facts.instances, self.facts.busy
        for instance_id, instance in self.group.instances.items():
            if instance_id not in busy:
                yield instance, known[instance_id]
