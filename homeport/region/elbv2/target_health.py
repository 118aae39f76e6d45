"""The health of targets as ``DescribeTargetHealth`` tells it: what the API knows, and what the balancer sees."""

from typing import Any

from homeport.region.elbv2.registry import Registration, Registry
from homeport.region.from_moto.elbv2 import ELBv2Backend, FakeTargetGroup
from homeport.region.haproxy.health import DRAINING, REGISTERING
from homeport.region.haproxy.model import TargetHealth

NOT_REGISTERED = TargetHealth("unused", "Target.NotRegistered", "Target is not registered to the target group")
NOT_IN_USE = TargetHealth(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
OTHER_ZONE = TargetHealth(
    "unused", "Target.NotInUse", "Target is in an Availability Zone that is not enabled for the load balancer"
)


def describe(
    backend: ELBv2Backend,
    group: FakeTargetGroup,
    registry: Registry,
    seen: dict[tuple[str, int], TargetHealth],
    wanted: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the descriptions of the ``wanted`` targets, of all that are registered when there are none.

    ``seen`` is what the balancer sees, by id and port.
    """
    registered = {
        (one.target_id, one.port): one for one in registry.current(group.arn) if not _terminated(group, one, registry)
    }
    keys = [key for one in wanted for key in _named(registered, one, int(group.port))] if wanted else list(registered)
    return [_description(backend, group, key, registered.get(key), seen.get(key)) for key in keys]


def _named(
    registered: dict[tuple[str, int], Registration], wanted: dict[str, Any], usual: int
) -> list[tuple[str, int]]:
    """Return the registrations that a request means: all ports of a target unless it names one."""
    port = int(wanted.get("Port") or 0)
    found = [key for key in registered if key[0] == wanted["Id"] and port in (0, key[1])]
    return found or [(wanted["Id"], port or usual)]


def _terminated(group: FakeTargetGroup, one: Registration, registry: Registry) -> bool:
    if group.target_type != "instance":
        return False
    instance = group.ec2_backend.get_instance_by_id(one.target_id)
    if instance is not None and instance.state != "terminated":
        return False
    registry.forget(group.arn, one.target_id)
    return True


def _description(
    backend: ELBv2Backend,
    group: FakeTargetGroup,
    key: tuple[str, int],
    one: Registration | None,
    seen: TargetHealth | None,
) -> dict[str, Any]:
    health = NOT_REGISTERED if one is None else _known(backend, group, one) or seen or REGISTERING
    target: dict[str, Any] = {"Id": key[0], "Port": key[1]}
    if one is not None and one.zone:
        target["AvailabilityZone"] = one.zone
    told = {"State": health.state}
    if health.reason:
        told |= {"Reason": health.reason, "Description": health.description}
    traffic = group.health_check_port in (None, "traffic-port")
    return {
        "Target": target,
        "HealthCheckPort": str(key[1] if traffic else group.health_check_port),
        "TargetHealth": told,
    }


def _known(backend: ELBv2Backend, group: FakeTargetGroup, one: Registration) -> TargetHealth | None:
    """Return what is true of a target whatever its checks say."""
    if not group.load_balancer_arns:
        return NOT_IN_USE
    if one.draining_until is not None:
        return DRAINING
    if group.target_type != "instance":
        return None
    instance = group.ec2_backend.get_instance_by_id(one.target_id)
    state = instance.state if instance is not None else "terminated"
    if state in ("stopping", "shutting-down"):
        return DRAINING
    if state != "running":
        return TargetHealth("unused", "Target.InvalidState", f"Target is in the {state} state")
    zones = {
        subnet.availability_zone for arn in group.load_balancer_arns for subnet in backend.load_balancers[arn].subnets
    }
    return None if one.zone in zones else OTHER_ZONE
