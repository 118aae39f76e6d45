"""Which private addresses are given away, and which one an interface may have.

moto knows of the addresses of instances and load balancers, a subnet at a time, and of no other interface's. Here
all VPCs share one network: that of this machine.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import AddressValueError, IPv4Address
from itertools import islice
from typing import Any

from homeport.errors import HomeportError
from homeport.region.from_moto import private
from homeport.region.from_moto.ec2 import EC2ClientError, Subnet
from homeport.system.ranges import Ranges

Fields = Mapping[str, Any]
Taken = Mapping[str, Collection[str]]
"""Names of those who have it, by private address."""


def holders(backend: Any) -> Taken:
    """Return who has each private address that is given away: instances, interfaces, or load balancers."""
    found: dict[str, set[str]] = {}
    for subnet in backend.describe_subnets():
        for address, holder in private.given_addresses(subnet).items():
            name = getattr(holder, "id", None) or getattr(holder, "name", None) or "another resource"
            found.setdefault(address, set()).add(name)
    for interface in backend.enis.values():
        for one in interface.private_ip_addresses:
            name = interface.instance.id if interface.instance else interface.id
            found.setdefault(one["PrivateIpAddress"], set()).add(name)
    return found


def check_address(subnet: Subnet, address: str, taken: Taken) -> None:
    """Raise what EC2 answers when an interface in the subnet cannot have the address; ``taken`` as of ``holders``."""
    try:
        number = IPv4Address(address)
    except AddressValueError as error:
        raise EC2ClientError("InvalidParameterValue", f"invalid value for parameter address: {address}") from error
    if number not in subnet.cidr:
        message = f"Address {address} does not fall within the subnet's address range"
        raise EC2ClientError("InvalidParameterValue", message)
    if number in _reserved(subnet):
        raise EC2ClientError("InvalidParameterValue", f"Address {address} is in subnet's reserved address range")
    if address in taken:
        raise in_use(address, taken[address])


def free(subnet: Subnet, taken: Iterable[str]) -> int:
    """Return how many addresses the subnet has left."""
    gone = {IPv4Address(one) for one in taken}
    return int(subnet.cidr.num_addresses) - len(_reserved(subnet) | {one for one in gone if one in subnet.cidr})


def lowest(subnet: Subnet, taken: Iterable[str], count: int = 1) -> list[str]:
    """Return the lowest addresses that the subnet has left; they are not given away yet."""
    gone, reserved = set(taken), _reserved(subnet)
    left = (str(one) for one in subnet.cidr.hosts() if one not in reserved and str(one) not in gone)
    found = list(islice(left, count))
    if len(found) < count:
        raise no_room(subnet.id)
    return found


def in_use(address: str, by: Collection[str]) -> EC2ClientError:
    """Return what EC2 answers for an address that is given away; who has it may be in another VPC."""
    return EC2ClientError(
        "InvalidIPAddress.InUse",
        f"Address {address} is in use by {', '.join(sorted(by))}: VPCs share one network here.",
    )


def no_room(subnet_id: str) -> EC2ClientError:
    """Return what EC2 answers when a subnet is full."""
    message = f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number."
    return EC2ClientError("InsufficientFreeAddressesInSubnet", message)


def check_interfaces(backend: Any, ranges: Ranges, interfaces: Iterable[Fields], taken: Taken) -> None:
    """Refuse a launch with interfaces that a machine here cannot have; as in a RunInstances request.

    A machine's address is an address of this host, so what lies outside of the region's ranges is refused.
    """
    for interface in interfaces:
        if interface.get("NetworkInterfaceId"):
            existing = backend.get_network_interface(interface["NetworkInterfaceId"])
            with outside_refused("InvalidParameterValue"):
                ranges.check(str(existing.private_ip_address), f"network interface {existing.id}")
            for one in existing.private_ip_addresses:
                if others := set(taken.get(one["PrivateIpAddress"], ())) - {existing.id}:
                    raise in_use(one["PrivateIpAddress"], others)
        elif interface.get("SubnetId"):
            subnet = backend.get_subnet(interface["SubnetId"])
            with outside_refused("InvalidParameterValue"):
                ranges.check_network(subnet.cidr, f"subnet {subnet.id}")
            for address in asked_addresses(interface):
                check_address(subnet, address, taken)
            wants_ipv6 = interface.get("Ipv6Addresses") or interface.get("Ipv6AddressCount")
            if wants_ipv6 and not subnet.ipv6_cidr_block_associations:
                raise EC2ClientError("InvalidParameterValue", f"The subnet '{subnet.id}' has no IPv6 CIDR block.")


def room(backend: Any, interfaces: Iterable[Fields], taken: Taken) -> int:
    """Return how many instances with such interfaces their subnets have addresses for."""
    needed: Counter[str] = Counter()
    for interface in interfaces:
        if interface.get("SubnetId") and not interface.get("NetworkInterfaceId"):
            further = int(interface.get("SecondaryPrivateIpAddressCount") or 0)
            needed[interface["SubnetId"]] += max(1, len(asked_addresses(interface))) + further
    return min((free(backend.get_subnet(one), taken) // count for one, count in needed.items()), default=1)


def asked_addresses(interface: Fields) -> list[str]:
    """Return the private addresses that a request names for an interface, the primary one first."""
    listed = sorted(interface.get("PrivateIpAddresses") or [], key=lambda one: not one.get("Primary"))
    first = [interface["PrivateIpAddress"]] if interface.get("PrivateIpAddress") else []
    return list(dict.fromkeys(first + [one["PrivateIpAddress"] for one in listed]))


@contextmanager
def outside_refused(code: str, error: type[Any] = EC2ClientError) -> Iterator[None]:
    """Raise a ``HomeportError`` from inside as AWS's error."""
    try:
        yield
    except HomeportError as found:
        raise error(code, f"{found.message}. {found.next_step}".strip()) from found


def _reserved(subnet: Subnet) -> set[Any]:
    """Return the first four addresses and the last one, which are AWS's in every subnet."""
    first = int(subnet.cidr.network_address)
    return {IPv4Address(first + number) for number in range(4)} | {subnet.cidr.broadcast_address}
