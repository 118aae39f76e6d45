"""EC2's API for network interfaces and what has them: addresses, NAT gateways, endpoints, instances."""

import copy
from collections.abc import Iterable
from typing import Any

from homeport.region.ec2 import dependents
from homeport.region.ec2.in_use import refuse
from homeport.region.from_moto.core import ActionResult, EmptyResult
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response, Instance, LastEniDetachError, NetworkInterface


class InterfacesResponse(EC2Response):
    """Interfaces that are attached stay; what is deleted takes its own along."""

    def delete_network_interface(self) -> ActionResult:
        """Delete an interface that is not attached; it gives its elastic address back."""
        self.error_on_dryrun()
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        refuse(
            dependents.of_network_interface(self.ec2_backend, interface),
            f"Network interface '{interface.id}' is currently in use",
            "InvalidNetworkInterface.InUse",
        )
        self._delete(interface)
        return EmptyResult()

    def attach_network_interface(self) -> ActionResult:
        """Attach an interface that is not attached yet."""
        self.error_on_dryrun()
        refuse_attached(self.ec2_backend, [self._get_param("NetworkInterfaceId")])
        return super().attach_network_interface()

    def detach_network_interface(self) -> ActionResult:
        """Detach an interface that is not its instance's first."""
        self.error_on_dryrun()
        for interface in self.ec2_backend.enis.values():
            if interface.attachment_id == self._get_param("AttachmentId") and interface.device_index == 0:
                raise LastEniDetachError
        return super().detach_network_interface()

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
        if endpoint.vpc_endpoint_type == "Interface":
            interfaces = [self.ec2_backend.get_network_interface(one) for one in endpoint.network_interface_ids]
            for interface in interfaces:
                if interface.subnet.id not in endpoint.subnet_ids:
                    self._delete(interface)
            left = [one for one in interfaces if one.subnet.id in endpoint.subnet_ids]
            left += [
                self.ec2_backend.create_network_interface(subnet_id, None)
                for subnet_id in endpoint.subnet_ids
                if subnet_id not in {one.subnet.id for one in left}
            ]
            endpoint.network_interface_ids = [one.id for one in left]
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

    def _delete(self, interface: NetworkInterface) -> None:
        _give_back_addresses(self.ec2_backend, [interface])
        self.ec2_backend.delete_network_interface(interface.id)


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
