"""From HAProxy's view of a server to what ``DescribeTargetHealth`` says of a target."""

from enum import StrEnum

from homeport.region.haproxy.model import TargetHealth
from homeport.region.haproxy.runtime import Row


class Phase(StrEnum):
    """Where a registration stands; HAProxy itself knows only what it may send to a server."""

    NEW = "new"
    """Checked, but without requests: no verdict yet."""
    SERVING = "serving"
    """HAProxy decides by its checks, whether we watch or not."""
    DRAINING = "draining"
    """No new request; those in flight finish."""
    REMOVED = "removed"
    """Deregistered; gone as soon as HAProxy has closed its connections."""


REGISTERING = TargetHealth("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = TargetHealth("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
HEALTHY = TargetHealth("healthy")
DRAINING = TargetHealth("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
TIMED_OUT = TargetHealth("unhealthy", "Target.Timeout", "Request timed out")
FAILED = TargetHealth("unhealthy", "Target.FailedHealthChecks", "Health checks failed")

_UNCHECKED = ("", "UNK", "INI")


def target_health(phase: Phase, row: Row | None) -> TargetHealth:
    """Return state, reason code and description as the Elastic Load Balancing API words them.

    ``row`` is the server's line of ``show stat`` in the checked backend, None before it was read.
    """
    if phase in (Phase.DRAINING, Phase.REMOVED):
        return DRAINING
    if row is None:
        return REGISTERING
    if phase is Phase.NEW:
        return REGISTERING if check_result(row) in _UNCHECKED else CHECKING
    return HEALTHY if is_up(row) else _unhealthy(row)


def is_up(row: Row) -> bool:
    """Return whether HAProxy holds the server for working, be it in rotation or not."""
    return row["status"].startswith(("UP", "DRAIN", "no check"))


def passed(row: Row) -> bool:
    """Return whether the last check passed."""
    return check_result(row) in ("L7OK", "L7OKC", "L6OK", "L4OK")


def check_result(row: Row) -> str:
    """Return the last check's result; a check that runs now is marked with a star."""
    return row["check_status"].removeprefix("* ").strip()


def _unhealthy(row: Row) -> TargetHealth:
    match check_result(row):
        # While the next check runs there is no code.
        case "L7STS" if row["check_code"] not in ("", "0"):
            codes = f"Health checks failed with these codes: [{row['check_code']}]"
            return TargetHealth("unhealthy", "Target.ResponseCodeMismatch", codes)
        case "L4TOUT" | "L6TOUT" | "L7TOUT":
            return TIMED_OUT
        case _:
            return FAILED
