"""The account's default VPC, where machines can be: what RunInstances takes that names no subnet."""

from ipaddress import IPv4Network
from typing import Any

from moto.backends import get_backend


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
