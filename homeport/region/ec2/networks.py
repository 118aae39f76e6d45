"""EC2's API for VPCs and their parts: what is in use stays, and what goes is forgotten by the others."""

from typing import Any

from homeport.region.ec2 import dependents
from homeport.region.ec2.in_use import listed, refuse, refuse_deletion
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response


class NetworksResponse(EC2Response):
    """VPCs, subnets, route tables, network ACLs, DHCP options and prefix lists."""

    def delete_vpc(self) -> ActionResult:
        """Delete a VPC with its own route table, network ACL and security group; its DHCP options stay."""
        self.error_on_dryrun()
        vpc = self.ec2_backend.get_vpc(self._get_param("VpcId"))
        refuse_deletion(dependents.of_vpc(self.ec2_backend, vpc), "vpc", vpc.id)
        # moto would delete them too.
        self.ec2_backend.disassociate_dhcp_options(vpc)
        result = super().delete_vpc()
        for acl_id in [one.id for one in self.ec2_backend.network_acls.values() if one.vpc_id == vpc.id]:
            del self.ec2_backend.network_acls[acl_id]
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
                refuse(
                    dependents.of_address_range(self.ec2_backend, vpc, block),
                    f"The vpc {vpc.id} currently has a subnet within CIDR block {block}",
                    "InvalidCidrBlock.InUse",
                )
        return super().disassociate_vpc_cidr_block()

    def delete_subnet(self) -> ActionResult:
        """Delete a subnet without addresses in use; route tables and network ACLs forget it."""
        self.error_on_dryrun()
        subnet_id = self._get_param("SubnetId")
        refuse_deletion(dependents.of_subnet(self.ec2_backend, subnet_id), "subnet", subnet_id)
        result = super().delete_subnet()
        forget_associations(self.ec2_backend, subnet_id)
        return result

    def delete_route_table(self) -> ActionResult:
        """Delete a route table that is not its VPC's main one, nor associated."""
        self.error_on_dryrun()
        table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
        main = [f"the main route table of {table.vpc_id}"] if table.main_association_id else []
        refuse_deletion([*main, *table._associations.values()], "routeTable", table.id)
        return super().delete_route_table()

    def delete_network_acl(self) -> ActionResult:
        """Delete a network ACL that is not its VPC's default one, nor associated."""
        self.error_on_dryrun()
        acl = self.ec2_backend.get_network_acl(self._get_param("NetworkAclId"))
        if acl.default:
            raise EC2ClientError("InvalidParameterValue", f"cannot delete default network ACL {acl.id}")
        refuse_deletion((one.subnet_id for one in acl._associations.values()), "networkAcl", acl.id)
        return super().delete_network_acl()

    def delete_dhcp_options(self) -> ActionResult:
        """Delete DHCP options that no VPC has."""
        self.error_on_dryrun()
        options = self.ec2_backend.dhcp_options_sets.get(self._get_param("DhcpOptionsId"))
        if options:
            refuse_deletion(dependents.of_dhcp_options(self.ec2_backend, options), "dhcpOptions", options.id)
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
        found.state_message = f"The prefix list is referenced by {listed(users)}."
        return ActionResult({"PrefixList": found})


def forget_associations(ec2: Any, thing_id: str) -> None:
    """Take a subnet or a gateway that is gone out of route tables and network ACLs; moto keeps it in them for ever."""
    for table in ec2.route_tables.values():
        table._associations = {key: target for key, target in table._associations.items() if target != thing_id}
    for acl in ec2.network_acls.values():
        acl._associations = {key: one for key, one in acl._associations.items() if one.subnet_id != thing_id}
