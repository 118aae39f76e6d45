"""EC2's API for addresses: moto draws them by lot, whether somebody has them or not."""

from ipaddress import IPv4Network
from typing import Any

from homeport.region.ec2 import addressing
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response

NOBODYS = [IPv4Network(block) for block in ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")]
"""Ranges that no host has (RFC 5737). moto's elastic addresses are loopback ones, on which this host listens."""


class AddressesResponse(EC2Response):
    """A private address is one interface's, and lies in its subnet. An elastic one leads nowhere."""

    def allocate_address(self) -> ActionResult:
        """Give out an elastic address that is nobody's on this machine, or anywhere else."""
        if not self._get_param("Address"):
            taken = {one.public_ip for one in self.ec2_backend.addresses}
            free = (str(one) for block in NOBODYS for one in block.hosts() if str(one) not in taken)
            address = next(free, "")
            if not address:
                raise EC2ClientError("AddressLimitExceeded", "The maximum number of addresses has been reached.")
            self.params = dict(self.params) | {"Address": address}
        return super().allocate_address()

    def create_network_interface(self) -> ActionResult:
        """Make an interface; one with an address that no machine here can have may exist, attached to none."""
        subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
        asked = addressing.asked_addresses(self.params)
        addresses = self._new_addresses(subnet, asked, int(self._get_param("SecondaryPrivateIpAddressCount") or 0))
        self.params = dict(self.params) | {
            "PrivateIpAddress": addresses[0],
            "PrivateIpAddresses": [_listed(one, primary=number == 0) for number, one in enumerate(addresses)],
            "SecondaryPrivateIpAddressCount": 0,
        }
        result = super().create_network_interface()
        answer: Any = result.result
        interface = answer["NetworkInterface"]
        interface.interface_type = self._get_param("InterfaceType") or "interface"
        if tracking := self._get_param("ConnectionTrackingSpecification"):
            interface.connection_tracking_configuration = dict(tracking)
        return result

    def assign_private_ip_addresses(self) -> ActionResult:
        """Give an interface further addresses, named or counted."""
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        named = self._get_param("PrivateIpAddresses") or []
        count = int(self._get_param("SecondaryPrivateIpAddressCount") or 0)
        has = {one["PrivateIpAddress"] for one in interface.private_ip_addresses}
        asked = [one for one in named if one not in has]
        added = self._new_addresses(interface.subnet, asked, count, least=0)
        interface.private_ip_addresses.extend(_listed(one, primary=False) for one in added)
        assigned = [{"PrivateIpAddress": one} for one in (*named, *added[len(asked) :])]
        return ActionResult({"NetworkInterfaceId": interface.id, "AssignedPrivateIpAddresses": assigned})

    def modify_network_interface_attribute(self) -> ActionResult:
        """Change an interface, and its instance with it; moto leaves out what the attachment says."""
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        result = super().modify_network_interface_attribute()
        if self._get_param("Description.Value") == "":
            interface.description = ""
        if (kept := self._get_param("Attachment.DeleteOnTermination")) is not None:
            interface.delete_on_termination = bool(kept)
        if interface.instance and interface.device_index == 0:
            interface.instance.source_dest_check = interface.source_dest_check
        return result

    def _new_addresses(self, subnet: Any, asked: list[str], further: int, least: int = 1) -> list[str]:
        """Return the addresses ``asked`` for, at least so many, and so many ``further`` ones that are free."""
        taken = dict(addressing.holders(self.ec2_backend))
        for address in asked:
            addressing.check_address(subnet, address, taken)
            taken[address] = {"this request"}
        return asked + addressing.lowest(subnet, taken, max(least - len(asked), 0) + further)


def _listed(address: str, *, primary: bool) -> dict[str, Any]:
    return {"Primary": primary, "PrivateIpAddress": address}
