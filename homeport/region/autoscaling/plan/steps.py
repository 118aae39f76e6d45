"""What a plan consists of: changes of the group, and calls of the API, whose answers are changes again."""

from dataclasses import dataclass

from homeport.region.autoscaling.plan.changes import Change


@dataclass(frozen=True, slots=True)
class Call:
    """Calls the API, in a thread of its own; safe to repeat."""

    key: str
    """The instance's id; for a launch its activity's. Only one call at a time is under way for each."""


@dataclass(frozen=True, slots=True)
class RunInstances(Call):
    """Launch what was decided."""


@dataclass(frozen=True, slots=True)
class RegisterTargets(Call):
    """Bring an instance's registrations in line with the group's target groups."""

    register: tuple[str, ...]
    deregister: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeregisterTargets(Call):
    """Let an instance drain."""

    target_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TerminateInstances(Call):
    """End an instance's machine."""


Step = Change | Call
