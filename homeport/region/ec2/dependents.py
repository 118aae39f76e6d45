"""What uses a thing of EC2's, as a person would name it: EC2 does not delete the thing while something does.

``ec2`` is moto's backend of one account and region; every function is called with moto's lock held.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from typing import Any

from homeport.region.from_moto import private
from homeport.region.from_moto.core import get_backend
from homeport.region.from_moto.ec2 import VPC, NetworkInterface, SecurityGroup


def of_security_group(ec2: Any, group: SecurityGroup) -> Iterator[str]:
    """Name what is in a group, or names it in a rule; rules of other VPCs' groups may dangle, as in EC2."""
    for interface in ec2.enis.values():
        if any(one.id == group.id for one in interface.group_set):
            yield _interface(interface)
    yield from (
        f"security group {other.id}"
        for other in ec2.groups[group.vpc_id].values()
        if other.id != group.id
        and any(rule.source_group.get("GroupId") == group.id for rule in (*other.ingress_rules, *other.egress_rules))
    )
    yield from (
        f"VPC endpoint {endpoint.id}" for endpoint in _endpoints(ec2) if group.id in (endpoint.security_group_ids or ())
    )
    yield from (f"load balancer {one.name}" for one in _balancers(ec2) if group.id in (one.security_groups or ()))
    yield from (name for name, groups, _ in _of_other_services(ec2) if group.id in groups)


def of_subnet(ec2: Any, subnet_id: str) -> Iterator[str]:
    """Name what has an address in a subnet."""
    for interface in ec2.enis.values():
        if interface.subnet.id == subnet_id:
            yield _interface(interface)
    for balancer in _balancers(ec2):
        if any(subnet.id == subnet_id for subnet in balancer.subnets):
            yield f"load balancer {balancer.name}"
    for attachment in ec2.transit_gateway_attachments.values():
        if attachment.state != "deleted" and subnet_id in (getattr(attachment, "subnet_ids", None) or ()):
            yield f"transit gateway attachment {attachment.id}"
    yield from (name for name, _, subnets in _of_other_services(ec2) if subnet_id in subnets)


def of_vpc(ec2: Any, vpc: VPC) -> Iterator[str]:
    """Name what a VPC holds beside what it was made with."""
    own: dict[str, Iterable[Any]] = {
        "subnet": _subnets(ec2, vpc.id),
        "internet gateway": (one for one in ec2.internet_gateways.values() if one.vpc and one.vpc.id == vpc.id),
        "egress-only internet gateway": _in(ec2.egress_only_internet_gateways, vpc),
        "carrier gateway": _in(ec2.carrier_gateways, vpc),
        "virtual private gateway": (
            one
            for one in ec2.vpn_gateways.values()
            if vpc.id in one.attachments and one.attachments[vpc.id].state == "attached"
        ),
        "VPC endpoint": (one for one in _endpoints(ec2) if one.vpc_id == vpc.id),
        "VPC peering connection": (
            one
            for one in ec2.vpc_pcxs.values()
            if vpc.id in (one.vpc.id, one.peer_vpc.id)
            and private.peering_status(one) in ("active", "pending-acceptance")
        ),
        "route table": (one for one in _in(ec2.route_tables, vpc) if one.main_association_id is None),
        "network ACL": (one for one in _in(ec2.network_acls, vpc) if not one.default),
        "security group": (one for one in ec2.groups[vpc.id].values() if not one.is_default),
    }
    return (f"{kind} {one.id}" for kind, found in own.items() for one in found)


def of_address_range(ec2: Any, vpc: VPC, block: str) -> Iterator[str]:
    """Name the subnets in a VPC's range of addresses."""
    for subnet in _subnets(ec2, vpc.id):
        ranges = [one["ipv6CidrBlock"] for one in subnet.ipv6_cidr_block_associations.values()]
        if ":" in block:
            inside = bool(ranges)
        else:
            inside = IPv4Network(subnet.cidr_block).subnet_of(IPv4Network(block, strict=False))
        if inside:
            yield f"subnet {subnet.id}"


def of_network_interface(ec2: Any, interface: NetworkInterface) -> Iterator[str]:
    """Name what an interface is attached to; those that a service made are the service's."""
    if interface.instance is not None:
        yield f"instance {interface.instance.id}"
    for gateway in ec2.nat_gateways.values():
        if gateway.state != "deleted" and gateway._eni is interface:
            yield f"NAT gateway {gateway.id}"
    for endpoint in _endpoints(ec2):
        if interface.id in (endpoint.network_interface_ids or ()):
            yield f"VPC endpoint {endpoint.id}"
    for target in _backend(ec2, "efs").mount_targets_by_id.values():
        if target.network_interface_id == interface.id:
            yield f"mount target {target.mount_target_id}"


def of_internet_gateway(ec2: Any, vpc_id: str) -> Iterator[str]:
    """Name what has a public address in a VPC, and so needs its gateway."""
    for interface in ec2.enis.values():
        if interface.public_ip and interface.vpc_id == vpc_id:
            yield f"{interface.public_ip} of {_interface(interface)}"
    for balancer in _balancers(ec2):
        if balancer.scheme == "internet-facing" and balancer.vpc_id == vpc_id:
            yield f"load balancer {balancer.name}"


def of_vpn_gateway(ec2: Any, gateway: Any) -> Iterator[str]:
    """Name what a virtual private gateway is attached to, and its connections."""
    yield from (vpc_id for vpc_id, one in gateway.attachments.items() if one.state == "attached")
    yield from _connections(ec2, "vpn_gateway_id", gateway.id)


def of_customer_gateway(ec2: Any, gateway_id: str) -> Iterator[str]:
    """Name the connections of a customer gateway."""
    return _connections(ec2, "customer_gateway_id", gateway_id)


def of_transit_gateway(ec2: Any, gateway_id: str) -> Iterator[str]:
    """Name the attachments of a transit gateway."""
    for attachment in ec2.transit_gateway_attachments.values():
        if attachment.transit_gateway_id == gateway_id and attachment.state not in ("deleted", "rejected"):
            yield attachment.id
    yield from _connections(ec2, "transit_gateway_id", gateway_id)


def of_transit_gateway_route_table(ec2: Any, table_id: str) -> Iterator[str]:
    """Name the attachments that are associated with a transit gateway's route table."""
    for attachment in ec2.transit_gateway_attachments.values():
        if (attachment._association_data or {}).get("transitGatewayRouteTableId") == table_id:
            yield attachment.id


def of_prefix_list(ec2: Any, prefix_list_id: str) -> Iterator[str]:
    """Name the rules and routes that a prefix list stands in."""
    for groups in ec2.groups.values():
        for group in groups.values():
            if any(rule.prefix_list_id == prefix_list_id for rule in (*group.ingress_rules, *group.egress_rules)):
                yield f"security group {group.id}"
    for table in ec2.route_tables.values():
        if any(
            route.destination_prefix_list and route.destination_prefix_list.id == prefix_list_id
            for route in table.routes
        ):
            yield f"route table {table.id}"


def of_snapshot(ec2: Any, snapshot_id: str) -> Iterator[str]:
    """Name the images that are made of a snapshot."""
    for image in ec2.amis.values():
        if snapshot_id in getattr(image, "snapshot_ids", ()):
            yield image.id


def of_dhcp_options(ec2: Any, options: Any) -> Iterator[str]:
    """Name the VPCs that have these options; moto remembers the last one only."""
    return (vpc.id for vpc in ec2.vpcs.values() if vpc.dhcp_options is options)


def _interface(interface: NetworkInterface) -> str:
    if interface.instance is not None:
        return f"network interface {interface.id} of instance {interface.instance.id}"
    return f"network interface {interface.id}"


def _in(things: dict[str, Any], vpc: VPC) -> Iterator[Any]:
    return (one for one in things.values() if one.vpc_id == vpc.id)


def _subnets(ec2: Any, vpc_id: str) -> Iterator[Any]:
    return (subnet for zone in ec2.subnets.values() for subnet in zone.values() if subnet.vpc_id == vpc_id)


def _endpoints(ec2: Any) -> Iterator[Any]:
    return (endpoint for endpoint in ec2.vpc_end_points.values() if endpoint.state != "deleted")


def _connections(ec2: Any, field: str, gateway_id: str) -> Iterator[str]:
    for connection in ec2.vpn_connections.values():
        if getattr(connection, field) == gateway_id and connection.state != "deleted":
            yield f"VPN connection {connection.id}"


def _balancers(ec2: Any) -> Iterator[Any]:
    return iter(_backend(ec2, "elbv2").load_balancers.values())


def _of_other_services(ec2: Any) -> Iterator[tuple[str, Iterable[str], Iterable[str]]]:
    """Return name, security groups and subnets of what has interfaces in AWS, and none in moto."""
    rds, elasticache = _backend(ec2, "rds"), _backend(ec2, "elasticache")
    for one in rds.databases.values():
        group = getattr(one, "db_subnet_group", None)
        zone = one.availability_zone
        subnets = [
            subnet.id
            for subnet in (private.subnets_of_group(group) if group else ())
            if subnet.availability_zone == zone
        ]
        yield f"database {one.db_instance_identifier}", one.vpc_security_group_ids, subnets
    for one in rds.clusters.values():
        yield f"database cluster {one.db_cluster_identifier}", one.vpc_security_group_ids, ()
    # What is deleted stays in moto's lists.
    for one in elasticache.cache_clusters.values():
        if one.cache_cluster_status != "deleting":
            yield f"cache cluster {one.cache_cluster_id}", one.security_group_ids, ()
    for one in elasticache.replication_groups.values():
        if one.status != "deleting":
            yield f"replication group {one.replication_group_id}", one.security_group_ids or (), ()
    for one in _backend(ec2, "lambda")._lambdas.all():
        config = one.vpc_config or {}
        yield f"function {one.function_name}", config.get("SecurityGroupIds", ()), config.get("SubnetIds", ())


def _backend(ec2: Any, service: Any) -> Any:
    """Return another service's backend of the same account and region."""
    return get_backend(service)[ec2.account_id][ec2.region_name]
