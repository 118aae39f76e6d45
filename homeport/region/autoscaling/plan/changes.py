"""What changes a group: what a plan decides, and what its calls are answered with."""

from dataclasses import dataclass
from datetime import datetime

from homeport.region.autoscaling.model import LaunchTemplate


class Change:
    """Changes the group alone: ``apply`` makes it so, at once and under the lock."""


@dataclass(frozen=True, slots=True)
class InstanceChange(Change):
    """Changes one of the group's instances."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class BeginLaunch(Change):
    """Decide a launch: a line of the history, and a launch without an instance."""

    zone: str
    subnet_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class BeginTermination(InstanceChange):
    """Begin an instance's termination, in response to ``because``."""

    because: str


@dataclass(frozen=True, slots=True)
class Advance(InstanceChange):
    """Move an instance to another lifecycle state."""

    to: str


@dataclass(frozen=True, slots=True)
class MarkUnhealthy(InstanceChange):
    """Call an instance ``Unhealthy``; only a user calls it healthy again."""

    because: str


@dataclass(frozen=True, slots=True)
class Explain(InstanceChange):
    """Say what keeps the group from deciding about an instance, or with nothing that it is over."""

    message: str


@dataclass(frozen=True, slots=True)
class Note(Change):
    """Say in an activity what keeps it from its end, or with nothing that it is over."""

    activity_id: str
    message: str


@dataclass(frozen=True, slots=True)
class CountFailure(Change):
    """Note that a launch failed; the first ``free`` ones of a row cost no wait.

    What was launched before the last failure that counted belongs to the same incident, and adds nothing.
    """

    launched_at: datetime
    free: int = 0


@dataclass(frozen=True, slots=True)
class ResetFailures(Change):
    """End a row of failures."""


@dataclass(frozen=True, slots=True)
class ForgetInstance(InstanceChange):
    """Remove an instance that EC2 has terminated."""


@dataclass(frozen=True, slots=True)
class ForgetGroup(Change):
    """Remove a group, with everything that hangs on it."""


# What calls are answered with.


@dataclass(frozen=True, slots=True)
class Launched(Change):
    """A launch has its instance."""

    activity_id: str
    instance_id: str
    instance_type: str
    launch_template: LaunchTemplate


@dataclass(frozen=True, slots=True)
class LaunchFailed(Change):
    """EC2 refused a launch."""

    activity_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Unconfirmed(InstanceChange):
    """Whether an instance is a target of a target group is open from now on: a call is about to change it."""

    target_group: str


@dataclass(frozen=True, slots=True)
class Registered(InstanceChange):
    """An instance is a target of a target group."""

    target_group: str


@dataclass(frozen=True, slots=True)
class Deregistered(InstanceChange):
    """An instance is no target of a target group any more."""

    target_group: str


@dataclass(frozen=True, slots=True)
class Draining(InstanceChange):
    """An instance that is leaving is deregistered everywhere, and drains for ``delay`` of AWS's seconds at most."""

    delay: float
