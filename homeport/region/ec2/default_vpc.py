"""The account's default VPC, which RunInstances takes when nothing names a subnet."""

from ipaddress import IPv4Network
from typing import Any

from homeport.region.from_moto.core import get_backend


def move(account: str, region_name: str, network: IPv4Network) -> None:
    """Give the default VPC another range, with a default subnet in each zone; before the API answers.

    moto has it in 172.31.0.0/16, as AWS has; no machine of this host can have an address there.
    """
    ec2: Any = get_backend("ec2")[account][region_name]
    zones = sorted(ec2.get_default_subnets())
    for subnet in list(ec2.get_default_subnets().values()):
        ec2.delete_subnet(subnet.id)
    ec2.delete_vpc(ec2.default_vpc.id)
    ec2.default_vpc = ec2.create_vpc(cidr_block=str(network), is_default=True)
    for zone in zones:
        ec2.create_default_subnet(zone)


def fill_in(ec2: Any, request: dict[str, Any]) -> None:
    """Name the default subnet in a RunInstances request that names none, as EC2 does; moto makes up an address."""
    interfaces = request.get("NetworkInterfaces") or []
    if request.get("SubnetId") or any(one.get("SubnetId") or one.get("NetworkInterfaceId") for one in interfaces):
        return
    subnets = ec2.get_default_subnets()
    zone = (request.get("Placement") or {}).get("AvailabilityZone") or min(subnets, default="")
    if zone not in subnets:
        return
    if interfaces:
        request["NetworkInterfaces"] = [{**one, "SubnetId": subnets[zone].id} for one in interfaces]
    else:
        request["SubnetId"] = subnets[zone].id
