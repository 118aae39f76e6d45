"""What moto keeps to itself and the region needs: one function for each, so that a new version fails here.

``tests/region/api/test_from_moto.py`` holds each of them against a backend. Call with moto's lock held.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from homeport.region.from_moto.ec2 import Instance, StateReason, Subnet


def set_state(instance: Instance, name: str, code: int) -> None:
    """Give an instance one of EC2's states."""
    instance._state.name = name
    instance._state.code = code


def set_state_reason(instance: Instance, reason: StateReason) -> None:
    """Say why an instance is in its state, in place of what moto says."""
    instance.state_reason, instance._reason = reason, ""


def place(instance: Instance, subnet: Subnet) -> None:
    """Note the subnet and the zone of an instance that was launched with an interface."""
    instance._subnet_id, instance.placement.zone = subnet.id, subnet.availability_zone


def given_addresses(subnet: Subnet) -> Mapping[str, Any]:
    """Return who has each private address of the subnet that moto has given away."""
    found: Mapping[str, Any] = subnet._subnet_ips
    return found


@contextmanager
def next_addresses(subnet: Subnet, addresses: Iterable[str]) -> Iterator[None]:
    """Let moto give out these addresses next: what lies in this set, it gives out before any other."""
    before = subnet._unused_ips
    subnet._unused_ips = set(addresses)
    try:
        yield
    finally:
        subnet._unused_ips = {one for one in before if one not in subnet._subnet_ips}


def interface_groups(interface: Any) -> list[Any]:
    """Return the security groups that a network interface was given itself."""
    return list(interface._group_set)


def set_interface_groups(interface: Any, groups: Iterable[Any]) -> None:
    """Give a network interface its security groups."""
    interface._group_set = list(groups)


def peering_status(peering: Any) -> str:
    """Return the status code of a VPC peering connection."""
    return str(peering._status.code)


def subnets_of_group(group: Any) -> list[Any]:
    """Return the subnets of a database's subnet group."""
    return list(group._subnets)


def certificate_exists(elbv2: Any, arn: str) -> bool:
    """Return whether ACM or IAM has a certificate."""
    return bool(elbv2._certificate_exists(arn))


def certificates(acm: Any) -> Iterable[Any]:
    """Return all certificates of an ACM backend."""
    found: Iterable[Any] = acm._certificates.values()
    return found


def cluster(ecs: Any, name: str | None) -> Any:
    """Return an ECS cluster by name or ARN, the default one without; raise ECS's error when there is none."""
    return ecs._get_cluster(name)
