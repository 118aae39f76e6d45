"""EC2's deletions: what is in use is refused, as EC2 refuses it, and what goes lets go of everything else.

moto deletes most of what is in use, and keeps some of what is free. Codes and first sentences are EC2's, from its
API reference; after a colon stands what the caller has to free.
"""

import copy
from collections.abc import Iterable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidRouteTableIdError,
    InvalidSecurityGroupNotFoundError,
    InvalidTransitGatewayID,
    LastEniDetachError,
)
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response

from homeport.region.ec2 import dependents

SHOWN = 5
"""How many dependents an error names."""


class DeletionResponse(EC2Response):
    """EC2 without deletions of what is in use."""

    def delete_security_group(self) -> ActionResult:
        """Delete a group that nothing is in and no other group of its VPC names."""
        self.error_on_dryrun()
        name, group_id = self._get_param("GroupName"), self._get_param("GroupId")
        if group_id:
            group = self.ec2_backend.get_security_group_from_id(group_id)
        else:
            # By name a group is sought in the default VPC only.
            group = self.ec2_backend.get_security_group_from_name(name, self.ec2_backend.default_vpc.id)
        if group is None:
            raise InvalidSecurityGroupNotFoundError(group_id or name)
        if group.is_default:
            raise EC2ClientError(
                "CannotDelete", f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user'
            )
        _refuse(dependents.of_security_group(self.ec2_backend, group), f"resource {group.id} has a dependent object")
        self.ec2_backend.delete_security_group(group_id=group.id)
        return EmptyResult()

    def delete_subnet(self) -> ActionResult:
        """Delete a subnet without addresses in use; route tables and network ACLs forget it."""
        self.error_on_dryrun()
        subnet_id = self._get_param("SubnetId")
        _refuse_deletion(dependents.of_subnet(self.ec2_backend, subnet_id), "subnet", subnet_id)
        result = super().delete_subnet()
        for table in self.ec2_backend.route_tables.values():
            _drop(table._associations, [key for key, target in table._associations.items() if target == subnet_id])
        for acl in self.ec2_backend.network_acls.values():
            _drop(acl._associations, [key for key, one in acl._associations.items() if one.subnet_id == subnet_id])
        return result

    def delete_vpc(self) -> ActionResult:
        """Delete a VPC with its own route table, network ACL and security group; its DHCP options stay."""
        self.error_on_dryrun()
        vpc = self.ec2_backend.get_vpc(self._get_param("VpcId"))
        _refuse_deletion(dependents.of_vpc(self.ec2_backend, vpc), "vpc", vpc.id)
        # moto would delete them too.
        self.ec2_backend.disassociate_dhcp_options(vpc)
        result = super().delete_vpc()
        acls = self.ec2_backend.network_acls
        _drop(acls, [key for key, one in acls.items() if one.vpc_id == vpc.id])
        return result

    def disassociate_vpc_cidr_block(self) -> ActionResult:
        """Take a range of addresses from a VPC, unless a subnet lies in it."""
        self.error_on_dryrun()
        association = self._get_param("AssociationId")
        for vpc in self.ec2_backend.vpcs.values():
            found = vpc._cidr_block_association_set.get(association)
            # The first range is never taken, and moto says so.
            if found and found["cidr_block"] != vpc.cidr_block:
                block = found["cidr_block"]
                _refuse(
                    dependents.of_address_range(self.ec2_backend, vpc, block),
                    f"The vpc {vpc.id} currently has a subnet within CIDR block {block}",
                    "InvalidCidrBlock.InUse",
                )
        return super().disassociate_vpc_cidr_block()

    def delete_network_interface(self) -> ActionResult:
        """Delete an interface that is not attached; it gives its elastic address back."""
        self.error_on_dryrun()
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        _refuse(
            dependents.of_network_interface(self.ec2_backend, interface),
            f"Network interface '{interface.id}' is currently in use",
            "InvalidNetworkInterface.InUse",
        )
        self._delete(interface)
        return EmptyResult()

    def detach_network_interface(self) -> ActionResult:
        """Detach an interface that is not its instance's first."""
        self.error_on_dryrun()
        for interface in self.ec2_backend.enis.values():
            if interface.attachment_id == self._get_param("AttachmentId") and interface.device_index == 0:
                raise LastEniDetachError
        return super().detach_network_interface()

    def attach_network_interface(self) -> ActionResult:
        """Attach an interface that is not attached yet."""
        self.error_on_dryrun()
        refuse_attached(self.ec2_backend, [self._get_param("NetworkInterfaceId")])
        return super().attach_network_interface()

    def modify_network_interface_attribute(self) -> ActionResult:
        """Change an interface; the groups of an instance are those of its first one."""
        self._check_groups()
        result = super().modify_network_interface_attribute()
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        if self._get_param("Groups") and interface.instance and interface.device_index == 0:
            interface.instance.security_groups = list(interface._group_set)
        return result

    def modify_instance_attribute(self) -> ActionResult:
        """Change an instance; its first interface has its groups."""
        self._check_groups()
        result = super().modify_instance_attribute()
        if self._get_param("Groups"):
            instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
            instance.nics[0]._group_set = list(instance.security_groups)
        return result

    def release_address(self) -> ActionResult:
        """Release an elastic address that is not associated; in the default VPC an instance loses it at once."""
        self.error_on_dryrun()
        if allocation := self._get_param("AllocationId"):
            (address,) = self.ec2_backend.address_by_allocation([allocation])
        elif public := self._get_param("PublicIp"):
            (address,) = self.ec2_backend.address_by_ip([public])
        else:
            return super().release_address()
        interface = address.eni
        if interface and not (interface.instance and interface.vpc_id == self.ec2_backend.default_vpc.id):
            raise EC2ClientError(
                "InvalidIPAddress.InUse",
                f"Address {address.public_ip} is in use: network interface {interface.id} has it.",
            )
        return super().release_address()

    def delete_nat_gateway(self) -> ActionResult:
        """Delete a NAT gateway with its interface; its elastic address stays, free."""
        self.error_on_dryrun()
        gateway_id = self._get_param("NatGatewayId")
        gateway = self.ec2_backend.nat_gateways.get(gateway_id)
        if gateway is None:
            raise EC2ClientError("NatGatewayNotFound", f"The Nat Gateway {gateway_id} was not found")
        result = super().delete_nat_gateway()
        if gateway._eni.id in self.ec2_backend.enis:
            self._delete(gateway._eni)
        return result

    def modify_vpc_endpoint(self) -> ActionResult:
        """Change an endpoint, and its interfaces with its subnets; moto leaves them where they were."""
        result = super().modify_vpc_endpoint()
        endpoint = self.ec2_backend.vpc_end_points[self._get_param("VpcEndpointId")]
        left = set(self._get_param("RemoveSubnetIds", []))
        for interface_id in list(endpoint.network_interface_ids or ()):
            interface = self.ec2_backend.enis.get(interface_id)
            if interface and interface.subnet.id in left:
                endpoint.network_interface_ids.remove(interface_id)
                self._delete(interface)
        return result

    def delete_vpc_endpoints(self) -> ActionResult:
        """Delete endpoints, with the routes that there still are; moto stops at one that is gone."""
        self.error_on_dryrun()
        found = [self.ec2_backend.vpc_end_points.get(one) for one in self._get_param("VpcEndpointIds", [])]
        endpoints = [one for one in found if one is not None]
        for endpoint in endpoints:
            endpoint.route_table_ids = [
                table.id
                for table in self.ec2_backend.route_tables.values()
                if table.id in endpoint.route_table_ids
                and any(one.destination_prefix_list_id == endpoint.destination_prefix_list_id for one in table.routes)
            ]
        result = super().delete_vpc_endpoints()
        for endpoint in endpoints:
            # It stays listed, and could not be shown once a group is gone.
            endpoint.security_group_ids = []
        return result

    def detach_internet_gateway(self) -> ActionResult:
        """Detach an internet gateway from a VPC in which nothing has a public address."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_internet_gateway(self._get_param("InternetGatewayId"))
        vpc_id = self._get_param("VpcId")
        if gateway.vpc and gateway.vpc.id == vpc_id:
            _refuse(
                dependents.of_internet_gateway(self.ec2_backend, vpc_id),
                f"Network {vpc_id} has some mapped public address(es). "
                "Please unmap those public address(es) before detaching the gateway",
            )
        return super().detach_internet_gateway()

    def delete_internet_gateway(self) -> ActionResult:
        """Delete an internet gateway that is not attached."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_internet_gateway(self._get_param("InternetGatewayId"))
        _refuse_deletion([gateway.vpc.id] if gateway.vpc else (), "internetGateway", gateway.id)
        return super().delete_internet_gateway()

    def delete_route_table(self) -> ActionResult:
        """Delete a route table that is not its VPC's main one, nor associated."""
        self.error_on_dryrun()
        table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
        main = [f"the main route table of {table.vpc_id}"] if table.main_association_id else []
        _refuse_deletion([*main, *table._associations.values()], "routeTable", table.id)
        return super().delete_route_table()

    def delete_network_acl(self) -> ActionResult:
        """Delete a network ACL that is not its VPC's default one, nor associated."""
        self.error_on_dryrun()
        acl = self.ec2_backend.get_network_acl(self._get_param("NetworkAclId"))
        if acl.default:
            raise EC2ClientError("InvalidParameterValue", f"cannot delete default network ACL {acl.id}")
        _refuse_deletion((one.subnet_id for one in acl._associations.values()), "networkAcl", acl.id)
        return super().delete_network_acl()

    def delete_dhcp_options(self) -> ActionResult:
        """Delete DHCP options that no VPC has."""
        self.error_on_dryrun()
        options = self.ec2_backend.dhcp_options_sets.get(self._get_param("DhcpOptionsId"))
        if options:
            _refuse_deletion(dependents.of_dhcp_options(self.ec2_backend, options), "dhcpOptions", options.id)
            # moto remembers a VPC that has others by now.
            options.vpc = None
        return super().delete_dhcp_options()

    def delete_managed_prefix_list(self) -> ActionResult:
        """Delete a prefix list; as in EC2, the state tells that it failed for one that is referenced."""
        self.error_on_dryrun()
        list_id = self._get_param("PrefixListId")
        found = self.ec2_backend.managed_prefix_lists.get(list_id)
        if found is None or found.state == "delete-complete":
            raise EC2ClientError("InvalidPrefixListID.NotFound", f"The prefix list ID '{list_id}' does not exist")
        users = list(dependents.of_prefix_list(self.ec2_backend, list_id))
        if not users:
            return super().delete_managed_prefix_list()
        found.state = "delete-failed"
        found.state_message = f"The prefix list is referenced by {_names(users)}."
        return ActionResult({"PrefixList": found})

    def delete_customer_gateway(self) -> ActionResult:
        """Delete a customer gateway without connections."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_customer_gateway(self._get_param("CustomerGatewayId"))
        users = dependents.of_customer_gateway(self.ec2_backend, gateway.id)
        _refuse(users, "The customer gateway is in use", "IncorrectState")
        return super().delete_customer_gateway()

    def delete_vpn_gateway(self) -> ActionResult:
        """Delete a virtual private gateway that is not attached and has no connections."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_vpn_gateway(self._get_param("VpnGatewayId"))
        _refuse(dependents.of_vpn_gateway(self.ec2_backend, gateway), "The vpn gateway is in use", "IncorrectState")
        return super().delete_vpn_gateway()

    def delete_transit_gateway(self) -> ActionResult:
        """Delete a transit gateway without attachments, and its route tables."""
        self.error_on_dryrun()
        gateway_id = self._get_param("TransitGatewayId")
        if gateway_id not in self.ec2_backend.transit_gateways:
            raise InvalidTransitGatewayID(gateway_id)
        users = dependents.of_transit_gateway(self.ec2_backend, gateway_id)
        _refuse(users, f"{gateway_id} has non-deleted Transit Gateway Attachments", "IncorrectState")
        result = super().delete_transit_gateway()
        tables = self.ec2_backend.transit_gateways_route_tables
        _drop(tables, [key for key, one in tables.items() if one.transit_gateway_id == gateway_id])
        return result

    def delete_transit_gateway_route_table(self) -> ActionResult:
        """Delete a transit gateway's route table that has no associations and is no default."""
        self.error_on_dryrun()
        table_id = self._get_param("TransitGatewayRouteTableId")
        table = self.ec2_backend.transit_gateways_route_tables.get(table_id)
        if table is None:
            raise InvalidRouteTableIdError(table_id)
        if table.default_association_route_table or table.default_propagation_route_table:
            raise EC2ClientError(
                "IncorrectState", f"{table_id} is a default route table of {table.transit_gateway_id}."
            )
        users = dependents.of_transit_gateway_route_table(self.ec2_backend, table_id)
        _refuse(users, f"{table_id} has non-deleted associations", "IncorrectState")
        return super().delete_transit_gateway_route_table()

    def attach_volume(self) -> ActionResult:
        """Attach a volume that is not attached yet."""
        self.error_on_dryrun()
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
        return super().attach_volume()

    def detach_volume(self) -> ActionResult:
        """Detach a volume that is not the root device of an instance that runs."""
        self.error_on_dryrun()
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        attached = volume.attachment
        if attached and attached.device == attached.instance.root_device_name and attached.instance.state != "stopped":
            raise EC2ClientError(
                "IncorrectState", f"Unable to detach root volume '{volume.id}' from instance '{attached.instance.id}'"
            )
        if attached:
            # EC2 can do without it.
            self.params.setdefault("InstanceId", attached.instance.id)
        return super().detach_volume()

    def delete_snapshot(self) -> ActionResult:
        """Delete a snapshot that no image is made of."""
        self.error_on_dryrun()
        snapshot_id = self._get_param("SnapshotId")
        users = list(dependents.of_snapshot(self.ec2_backend, snapshot_id))
        if users:
            raise EC2ClientError(
                "InvalidSnapshot.InUse", f"The snapshot {snapshot_id} is currently in use by {_names(users)}"
            )
        return super().delete_snapshot()

    def _delete(self, interface: NetworkInterface) -> None:
        _give_back_addresses(self.ec2_backend, [interface])
        self.ec2_backend.delete_network_interface(interface.id)

    def _check_groups(self) -> None:
        """Refuse groups that do not exist; moto would put nothing in their place."""
        for group_id in self._get_param("Groups", []):
            if self.ec2_backend.get_security_group_from_id(group_id) is None:
                raise InvalidSecurityGroupNotFoundError(group_id)


def refuse_attached(ec2: Any, interface_ids: Iterable[str]) -> None:
    """Refuse interfaces that are in use when another instance shall have them."""
    for interface_id in interface_ids:
        if any(dependents.of_network_interface(ec2, ec2.get_network_interface(interface_id))):
            raise EC2ClientError("InvalidNetworkInterface.InUse", f"Interface: [{interface_id}] in use.")


def let_go(instance: Instance) -> None:
    """Free what a terminated instance does not take with it: elastic addresses, and interfaces that outlive it."""
    _give_back_addresses(instance.ec2_backend, instance.nics.values())
    for index, interface in list(instance.nics.items()):
        if not interface.delete_on_termination:
            last = copy.copy(interface)
            instance.detach_eni(interface)
            if index == 0:
                # A terminated instance still tells its address.
                instance.nics[0] = last


def _give_back_addresses(ec2: Any, interfaces: Iterable[NetworkInterface]) -> None:
    lost = {interface.id for interface in interfaces}
    for address in ec2.addresses:
        if address.eni and address.eni.id in lost:
            ec2.disassociate_address(address=address.public_ip)


def _refuse(users: Iterable[str], sentence: str, code: str = "DependencyViolation") -> None:
    """Raise EC2's error when there are users; it names them."""
    if names := list(users):
        raise EC2ClientError(code, f"{sentence}: {_names(names)}.")


def _refuse_deletion(users: Iterable[str], kind: str, name: str) -> None:
    _refuse(users, f"The {kind} '{name}' has dependencies and cannot be deleted")


def _names(users: list[str]) -> str:
    more = [f"{len(users) - SHOWN} more"] if len(users) > SHOWN else []
    return ", ".join([*users[:SHOWN], *more])


def _drop(things: dict[str, Any], keys: list[str]) -> None:
    for key in keys:
        del things[key]
