"""What keeps an instance from being stopped or terminated by a call: flags, however they were set."""

from collections.abc import Iterable

from homeport.region.from_moto.ec2 import (
    EC2ClientError,
    Instance,
    OperationDisableApiStopNotPermitted,
    OperationNotPermitted4,
)

ENDED = ("shutting-down", "terminated")


def from_termination(instance: Instance) -> EC2ClientError | None:
    """Return EC2's refusal to terminate the instance, or None. Protection against a stop is one against this too."""
    if instance.state in ENDED:
        return None
    if instance.disable_api_termination:
        return OperationNotPermitted4(instance.id)
    if instance.disable_api_stop:
        return OperationDisableApiStopNotPermitted(instance.id)
    return None


def from_stop(instance: Instance) -> EC2ClientError | None:
    """Return EC2's refusal to stop the instance, or None."""
    if instance.disable_api_stop and instance.state in ("pending", "running"):
        return EC2ClientError(
            "OperationNotPermitted",
            f"The instance '{instance.id}' may not be stopped. "
            "Modify its 'disableApiStop' instance attribute and try again.",
        )
    return None


def in_free_zones(instances: Iterable[Instance]) -> tuple[list[Instance], EC2ClientError | None]:
    """Return those of the instances that one TerminateInstances terminates, and why it fails, if it does.

    A protected instance saves those of the same call that are in its zone; the others are terminated all the same,
    and the call fails (EC2's API reference, TerminateInstances).
    """
    named = list(instances)
    refusals = {one.availability_zone: refusal for one in named if (refusal := from_termination(one))}
    refusal = next(iter(refusals.values()), None)
    return [one for one in named if one.availability_zone not in refusals], refusal
