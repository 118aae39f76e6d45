"""EC2's API for gateways: one that is attached, or has connections, stays."""

from homeport.region.ec2 import dependents
from homeport.region.ec2.in_use import refuse, refuse_deletion
from homeport.region.ec2.networks import forget_associations
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response, InvalidRouteTableIdError, InvalidTransitGatewayID


class GatewaysResponse(EC2Response):
    """Internet, customer, virtual private and transit gateways."""

    def detach_internet_gateway(self) -> ActionResult:
        """Detach an internet gateway from a VPC in which nothing has a public address."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_internet_gateway(self._get_param("InternetGatewayId"))
        vpc_id = self._get_param("VpcId")
        if gateway.vpc and gateway.vpc.id == vpc_id:
            refuse(
                dependents.of_internet_gateway(self.ec2_backend, vpc_id),
                f"Network {vpc_id} has some mapped public address(es). "
                "Please unmap those public address(es) before detaching the gateway",
            )
        return super().detach_internet_gateway()

    def delete_internet_gateway(self) -> ActionResult:
        """Delete an internet gateway that is not attached."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_internet_gateway(self._get_param("InternetGatewayId"))
        refuse_deletion([gateway.vpc.id] if gateway.vpc else (), "internetGateway", gateway.id)
        result = super().delete_internet_gateway()
        forget_associations(self.ec2_backend, gateway.id)
        return result

    def delete_customer_gateway(self) -> ActionResult:
        """Delete a customer gateway without connections."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_customer_gateway(self._get_param("CustomerGatewayId"))
        users = dependents.of_customer_gateway(self.ec2_backend, gateway.id)
        refuse(users, "The customer gateway is in use", "IncorrectState")
        return super().delete_customer_gateway()

    def delete_vpn_gateway(self) -> ActionResult:
        """Delete a virtual private gateway that is not attached and has no connections."""
        self.error_on_dryrun()
        gateway = self.ec2_backend.get_vpn_gateway(self._get_param("VpnGatewayId"))
        refuse(dependents.of_vpn_gateway(self.ec2_backend, gateway), "The vpn gateway is in use", "IncorrectState")
        return super().delete_vpn_gateway()

    def delete_transit_gateway(self) -> ActionResult:
        """Delete a transit gateway without attachments, and its route tables."""
        self.error_on_dryrun()
        gateway_id = self._get_param("TransitGatewayId")
        if gateway_id not in self.ec2_backend.transit_gateways:
            raise InvalidTransitGatewayID(gateway_id)
        users = dependents.of_transit_gateway(self.ec2_backend, gateway_id)
        refuse(users, f"{gateway_id} has non-deleted Transit Gateway Attachments", "IncorrectState")
        result = super().delete_transit_gateway()
        tables = self.ec2_backend.transit_gateways_route_tables
        for table_id in [one.id for one in tables.values() if one.transit_gateway_id == gateway_id]:
            del tables[table_id]
        return result

    def delete_transit_gateway_vpc_attachment(self) -> ActionResult:
        """Delete an attachment, and list it as deleted: Terraform waits for that, and moto forgets it."""
        self.error_on_dryrun()
        attachments = self.ec2_backend.transit_gateway_attachments
        attachment_id = self._get_param("TransitGatewayAttachmentId")
        if attachment_id not in attachments:
            raise EC2ClientError(
                "InvalidTransitGatewayAttachmentID.NotFound",
                f"The transitGatewayAttachment ID '{attachment_id}' does not exist",
            )
        attachment = attachments[attachment_id]
        result = super().delete_transit_gateway_vpc_attachment()
        attachments[attachment_id] = attachment
        attachment._association_data = {}
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
        refuse(users, f"{table_id} has non-deleted associations", "IncorrectState")
        return super().delete_transit_gateway_route_table()
