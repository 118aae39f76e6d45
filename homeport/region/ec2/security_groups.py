"""EC2's API for security groups: one that is in use stays, and instances have one truth of theirs."""

from homeport.region.ec2 import dependents
from homeport.region.ec2.in_use import refuse
from homeport.region.from_moto import private
from homeport.region.from_moto.core import ActionResult, EmptyResult
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response, InvalidSecurityGroupNotFoundError


class SecurityGroupsResponse(EC2Response):
    """Security groups, and who has them."""

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
        refuse(dependents.of_security_group(self.ec2_backend, group), f"resource {group.id} has a dependent object")
        self.ec2_backend.delete_security_group(group_id=group.id)
        return EmptyResult()

    def modify_network_interface_attribute(self) -> ActionResult:
        """Change an interface; the groups of an instance are those of its first one."""
        for group_id in self._get_param("Groups", []):
            # moto would put nothing in its place.
            if self.ec2_backend.get_security_group_from_id(group_id) is None:
                raise InvalidSecurityGroupNotFoundError(group_id)
        result = super().modify_network_interface_attribute()
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        if self._get_param("Groups") and interface.instance and interface.device_index == 0:
            interface.instance.security_groups = private.interface_groups(interface)
        return result
