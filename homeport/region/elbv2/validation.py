"""What the Elastic Load Balancing API refuses, as AWS does, or because it could not be made real here."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from homeport.errors import HomeportError
from homeport.region.elbv2 import view
from homeport.region.elbv2.registry import Registry
from homeport.region.from_moto import private
from homeport.region.from_moto.elbv2 import ELBClientError, ELBv2Backend, FakeTargetGroup
from homeport.region.haproxy.config import render
from homeport.region.haproxy.model import FixedResponse, Listener, LoadBalancer, Rule
from homeport.region.haproxy.rules import rule_lines
from homeport.system.ranges import Ranges

LIMITS = (
    ("HealthCheckIntervalSeconds", "Health check interval", 5, 300),
    ("HealthCheckTimeoutSeconds", "Health check timeout", 2, 120),
    ("HealthyThresholdCount", "Health check healthy threshold", 2, 10),
    ("UnhealthyThresholdCount", "Health check unhealthy threshold", 2, 10),
)
"""What CreateTargetGroup documents for HTTP and HTTPS groups."""
PROTECTED = "deletion_protection.enabled"
ATTRIBUTE_LIMITS = {
    "idle_timeout.timeout_seconds": (1, 4000),
    "deregistration_delay.timeout_seconds": (0, 3600),
    "slow_start.duration_seconds": (0, 900),
    "stickiness.lb_cookie.duration_seconds": (1, 604800),
    "stickiness.app_cookie.duration_seconds": (1, 604800),
}


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Raise a ``HomeportError`` from inside as an AWS error."""
    try:
        yield
    except HomeportError as error:
        raise ELBClientError(code, " ".join(filter(None, (error.message, error.next_step)))) from error


def check_load_balancer(backend: ELBv2Backend, params: dict[str, Any]) -> None:
    """Refuse what AWS refuses in CreateLoadBalancer, and kinds of load balancers that cannot be made real."""
    name = str(params.get("Name", ""))
    if params.get("Type", "application") != "application":
        raise ELBClientError(
            "InvalidConfigurationRequest", f"This region makes application load balancers only, not {params['Type']}"
        )
    if not (1 <= len(name) <= 32 and name.replace("-", "a").isalnum() and name.isascii() and name.strip("-") == name):
        raise ELBClientError(
            "ValidationError",
            f"The load balancer name '{name}' can only contain letters, digits and inner hyphens, at most 32",
        )
    if any(one.name == name for one in backend.load_balancers.values()):
        raise ELBClientError("DuplicateLoadBalancerName", f"A load balancer with the name '{name}' exists already")
    subnets = params.get("Subnets") or [one["SubnetId"] for one in params.get("SubnetMappings", [])]
    zones = [backend.ec2_backend.get_subnet(subnet).availability_zone for subnet in subnets]
    if len(set(zones)) < 2:
        raise ELBClientError(
            "ValidationError", "At least two subnets in two different Availability Zones must be specified"
        )
    if len(set(zones)) < len(zones):
        raise ELBClientError(
            "InvalidConfigurationRequest", "A load balancer cannot be attached to multiple subnets in the same zone"
        )


def check_subnets(backend: ELBv2Backend, params: dict[str, Any], ranges: Ranges) -> None:
    """Refuse subnets whose addresses are none of this region's: a load balancer's address is one of this host's."""
    subnets = params.get("Subnets") or [one["SubnetId"] for one in params.get("SubnetMappings", [])]
    for subnet_id in subnets:
        subnet = backend.ec2_backend.get_subnet(subnet_id)
        with refused("InvalidSubnet"):
            ranges.check_network(subnet.cidr, f"subnet {subnet_id}")


def check_actions(actions: list[dict[str, Any]]) -> None:
    """As :func:`check_rule`, for default actions; none were given when they are not to change."""
    if actions:
        check_rule([], actions)


def check_rule(conditions: list[dict[str, Any]], actions: list[dict[str, Any]]) -> None:
    """Refuse a rule that cannot be made real, in place of one that is kept and does nothing."""
    for one in actions:
        if str(one.get("Type", "")).startswith("authenticate-"):
            raise ELBClientError("InvalidLoadBalancerAction", f"This region has no {one['Type']} action")
    with refused("ValidationError"):
        try:
            read = tuple(view.condition(one) for one in conditions)
            action = view.action(actions) if actions else FixedResponse(200)
        except (KeyError, ValueError) as error:
            raise HomeportError(f"the rule lacks, or has a wrong value for: {error}") from error
        rule = Rule("", 1, read, action)
        rule_lines(Listener("", 80, "HTTP", (rule,)), {}, {}, lambda seconds: seconds)


def check_certificates(backend: ELBv2Backend, protocol: str | None, certificates: list[dict[str, Any]]) -> None:
    """Refuse an HTTPS listener without a certificate that exists."""
    if protocol != "HTTPS":
        return
    if not certificates:
        raise ELBClientError("ValidationError", "A certificate must be specified for HTTPS listeners")
    for one in certificates:
        if not private.certificate_exists(backend, one["CertificateArn"]):
            raise ELBClientError("CertificateNotFound", f"Certificate '{one['CertificateArn']}' not found")


def check_kind(params: dict[str, Any]) -> None:
    """Refuse target groups that cannot be made real."""
    kind, protocol = params.get("TargetType", "instance"), params.get("Protocol")
    if kind not in ("instance", "ip") or protocol not in ("HTTP", "HTTPS"):
        raise ELBClientError(
            "InvalidConfigurationRequest",
            f"This region has target groups of instances and addresses over HTTP and HTTPS, not of {kind} {protocol}",
        )
    if (params.get("ProtocolVersion") or "HTTP1") != "HTTP1":
        raise ELBClientError("InvalidConfigurationRequest", "This region speaks HTTP1 to targets only")


def check_limits(params: dict[str, Any]) -> None:
    """Refuse health check figures out of range."""
    for key, name, least, most in LIMITS:
        if key in params and not least <= int(params[key]) <= most:
            raise ELBClientError("ValidationError", f"{name} '{params[key]}' must be between {least} and {most}")


def check_attributes(attributes: dict[str, str]) -> None:
    """Refuse target group attributes out of range."""
    if attributes.get(PROTECTED, "false").lower() not in ("true", "false"):
        raise ELBClientError("ValidationError", f"'{PROTECTED}' must be one of [true, false]")
    for key, (least, most) in ATTRIBUTE_LIMITS.items():
        value = attributes.get(key)
        if value is None:
            continue
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            raise ELBClientError("ValidationError", f"'{key}' must be between '{least}-{most}' inclusive")


def check_group(group: FakeTargetGroup, registry: Registry) -> None:
    """Refuse a target group that HAProxy could not be given."""
    with refused("ValidationError"):
        wanted = view.target_group(group, registry, set())
        render(LoadBalancer("", "", "127.0.0.1", (), (wanted,)), registry.clock)


def check_target(group: FakeTargetGroup, target: dict[str, Any]) -> str:
    """Return the target's zone; raises when AWS would not register it."""
    if group.target_type == "ip":
        return _check_address(target)
    instance = group.ec2_backend.get_instance_by_id(target["Id"])
    if instance is None:
        raise ELBClientError("InvalidTarget", f"The following targets are not valid instances: '{target['Id']}'")
    if instance.vpc_id != group.vpc_id:
        raise ELBClientError(
            "InvalidTarget",
            f"The following targets are not in the target group VPC '{group.vpc_id}': '{target['Id']}'",
        )
    if instance.state != "running":
        raise ELBClientError(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: '{target['Id']}'",
        )
    return str(instance.availability_zone)


def _check_address(target: dict[str, Any]) -> str:
    try:
        ipaddress.IPv4Address(target["Id"])
    except ValueError:
        raise ELBClientError(
            "ValidationError", f"The IP address '{target['Id']}' is not a valid IPv4 address"
        ) from None
    return str(target.get("AvailabilityZone") or "")
