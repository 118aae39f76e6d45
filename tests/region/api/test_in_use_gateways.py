"""Gateways that are attached, or carry something."""

import pytest
from making import in_use_cases, kept_until_free

from tests.polling import eventually

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_gateways_in_use_are_kept_until_they_are_free(make, case, code):
    kept_until_free(make, case, code)


@used("DependencyViolation")
def gateway_that_is_attached(make):
    vpc = make.vpc()
    gateway = make.gateway(vpc)
    return (
        lambda: make.ec2.delete_internet_gateway(InternetGatewayId=gateway),
        lambda: make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
    )


@used("DependencyViolation")
def gateway_of_an_elastic_address(make):
    vpc = make.vpc()
    gateway, address, interface = make.gateway(vpc), make.address(), make.interface(make.subnet(vpc))
    make.ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)
    return (
        lambda: make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
        lambda: make.ec2.disassociate_address(AssociationId=make.association(address)),
    )


@used("DependencyViolation")
def gateway_of_a_public_instance(make):
    vpc = make.vpc()
    gateway, subnet = make.gateway(vpc), make.subnet(vpc)
    instance = make.account.run(
        make.image, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": True}]
    )
    eventually(lambda: make.state(instance) == "running")
    return (
        lambda: make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
        lambda: make.terminate(instance),
    )


@used("DependencyViolation")
def gateway_of_a_nat_gateway(make):
    vpc = make.vpc()
    gateway = make.gateway(vpc)
    nat = make.nat_gateway(make.subnet(vpc), make.address())
    return (
        lambda: make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
        lambda: make.ec2.delete_nat_gateway(NatGatewayId=nat),
    )


@used("DependencyViolation")
def gateway_of_a_load_balancer(make):
    vpc = make.vpc()
    gateway = make.gateway(vpc)
    balancer = make.balancer([make.subnet(vpc), make.subnet(vpc, 1)], Scheme="internet-facing")
    return (
        lambda: make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
        lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer),
    )


@used("IncorrectState")
def customer_gateway_of_a_connection(make):
    gateway = make.customer_gateway()
    connection = make.vpn_connection(gateway, make.vpn_gateway())
    return (
        lambda: make.ec2.delete_customer_gateway(CustomerGatewayId=gateway),
        lambda: make.ec2.delete_vpn_connection(VpnConnectionId=connection),
    )


@used("IncorrectState")
def vpn_gateway_that_is_attached(make):
    vpc, gateway = make.vpc(), make.vpn_gateway()
    make.ec2.attach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc)
    return (
        lambda: make.ec2.delete_vpn_gateway(VpnGatewayId=gateway),
        lambda: make.ec2.detach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc),
    )


@used("IncorrectState")
def vpn_gateway_of_a_connection(make):
    gateway = make.vpn_gateway()
    connection = make.vpn_connection(make.customer_gateway(), gateway)
    return (
        lambda: make.ec2.delete_vpn_gateway(VpnGatewayId=gateway),
        lambda: make.ec2.delete_vpn_connection(VpnConnectionId=connection),
    )


@used("IncorrectState")
def transit_gateway_with_an_attachment(make):
    vpc, gateway = make.vpc(), make.transit_gateway()
    attachment = make.transit_attachment(gateway, vpc, make.subnet(vpc))
    return (
        lambda: make.ec2.delete_transit_gateway(TransitGatewayId=gateway),
        lambda: make.ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=attachment),
    )


@used("IncorrectState")
def transit_gateway_route_table_with_an_association(make):
    vpc, gateway = make.vpc(), make.transit_gateway()
    attachment = make.transit_attachment(gateway, vpc, make.subnet(vpc))
    made = make.ec2.create_transit_gateway_route_table(TransitGatewayId=gateway)
    table = made["TransitGatewayRouteTable"]["TransitGatewayRouteTableId"]
    association = {"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": attachment}
    make.ec2.associate_transit_gateway_route_table(**association)
    return (
        lambda: make.ec2.delete_transit_gateway_route_table(TransitGatewayRouteTableId=table),
        lambda: make.ec2.disassociate_transit_gateway_route_table(**association),
    )


def test_a_deleted_attachment_is_listed_as_such(make):
    vpc, gateway = make.vpc(), make.transit_gateway()
    attachment = make.transit_attachment(gateway, vpc, make.subnet(vpc))
    make.ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=attachment)
    (listed,) = make.ec2.describe_transit_gateway_vpc_attachments()["TransitGatewayVpcAttachments"]
    assert (listed["TransitGatewayAttachmentId"], listed["State"]) == (attachment, "deleted")
