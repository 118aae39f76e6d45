"""AWS's lifecycle states of a group's instances, in one table: whatever depends on a state asks here.

From the EC2 Auto Scaling user guide: "Instance lifecycle", "Lifecycle hooks", "Warm pools" and "Retrieve the
target lifecycle state through instance metadata".
"""

from collections.abc import Collection
from dataclasses import dataclass

LAUNCHING_TRANSITION = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING_TRANSITION = "autoscaling:EC2_INSTANCE_TERMINATING"

PENDING = "Pending"
IN_SERVICE = "InService"
TERMINATING = "Terminating"
TERMINATED = "Terminated"
WARMED_TERMINATED = "Warmed:Terminated"


@dataclass(frozen=True, slots=True)
class State:
    """What a lifecycle state means."""

    target: str
    """What instance metadata shows as ``autoscaling/target-lifecycle-state``."""
    capacity: bool = False
    """Whether it counts towards the desired capacity."""
    traffic: bool = False
    """Whether the balancer may send it traffic: it is registered before it gets here, and deregistered after."""
    next: str = ""
    """What follows by itself; nothing for a state that stays until somebody asks for another."""
    on_request: tuple[str, ...] = ()
    """What a user, or the group's plan, may ask for."""
    hook: str = ""
    """The transition whose lifecycle hooks wait here."""


_LEAVE = ("EnteringStandby", "Detaching", TERMINATING)
_END_POOL = ("Warmed:Terminating",)
_LEAVE_POOL = (PENDING, *_END_POOL)

STATES: dict[str, State] = {
    PENDING: State(IN_SERVICE, capacity=True, next="Pending:Wait", on_request=(TERMINATING,)),
    "Pending:Wait": State(
        IN_SERVICE, capacity=True, next="Pending:Proceed", on_request=(TERMINATING,), hook=LAUNCHING_TRANSITION
    ),
    "Pending:Proceed": State(IN_SERVICE, capacity=True, next=IN_SERVICE, on_request=(TERMINATING,)),
    IN_SERVICE: State(IN_SERVICE, capacity=True, traffic=True, on_request=(*_LEAVE, "Warmed:Pending")),
    TERMINATING: State(TERMINATED, next="Terminating:Wait"),
    "Terminating:Wait": State(TERMINATED, next="Terminating:Proceed", hook=TERMINATING_TRANSITION),
    "Terminating:Proceed": State(TERMINATED, next=TERMINATED),
    TERMINATED: State(TERMINATED),
    "Detaching": State("Detached", next="Detached"),
    "Detached": State("Detached"),
    "EnteringStandby": State("Standby", next="Standby", on_request=(TERMINATING,)),
    "Standby": State("Standby", on_request=(PENDING, "Detaching", TERMINATING)),
    # A pool's instances end up stopped unless the pool says Running or Hibernated.
    "Warmed:Pending": State("Warmed:Stopped", next="Warmed:Pending:Wait", on_request=_END_POOL),
    "Warmed:Pending:Wait": State(
        "Warmed:Stopped", next="Warmed:Pending:Proceed", on_request=_END_POOL, hook=LAUNCHING_TRANSITION
    ),
    "Warmed:Pending:Proceed": State(
        "Warmed:Stopped",
        next="Warmed:Stopped",
        on_request=("Warmed:Running", "Warmed:Hibernated", *_END_POOL),
    ),
    "Warmed:Running": State("Warmed:Running", on_request=_LEAVE_POOL),
    "Warmed:Stopped": State("Warmed:Stopped", on_request=_LEAVE_POOL),
    "Warmed:Hibernated": State("Warmed:Hibernated", on_request=_LEAVE_POOL),
    "Warmed:Terminating": State(WARMED_TERMINATED, next="Warmed:Terminating:Wait"),
    "Warmed:Terminating:Wait": State(WARMED_TERMINATED, next="Warmed:Terminating:Proceed", hook=TERMINATING_TRANSITION),
    "Warmed:Terminating:Proceed": State(WARMED_TERMINATED, next=WARMED_TERMINATED),
    WARMED_TERMINATED: State(WARMED_TERMINATED),
}
"""By AWS's name. ``Quarantined``, ``Retained`` and the replacement of root volumes are not there."""

_ENDS = (TERMINATED, WARMED_TERMINATED)


def following(name: str, hooked: Collection[str] = ()) -> str:
    """Return the state that follows by itself, or nothing; a transition without hooks is passed through at once.

    ``hooked`` holds the transitions for which the group has lifecycle hooks.
    """
    after = STATES[name].next
    if after and STATES[after].hook and STATES[after].hook not in hooked:
        # Nobody waits: past Wait and Proceed.
        return STATES[STATES[after].next].next
    return after


def waits(name: str, hooked: Collection[str] = ()) -> bool:
    """Return whether an instance stays in a state until its hooks are completed."""
    return STATES[name].hook in hooked


def is_ending(name: str) -> bool:
    """Return whether an instance is being terminated, or has been."""
    return STATES[name].target in _ENDS


def termination_of(name: str) -> str:
    """Return the state with which the termination of an instance begins, or nothing while there can be none."""
    return next((after for after in STATES[name].on_request if is_ending(after)), "")


def permits(before: str, after: str) -> bool:
    """Return whether an instance may go from one state straight to another."""
    row = STATES[before]
    return after in (row.next, following(before), *row.on_request)
