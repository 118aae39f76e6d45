"""VPCs and their parts."""

import pytest
from making import in_use_cases, kept_until_free

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_networks_in_use_are_kept_until_they_are_free(make, case, code):
    kept_until_free(make, case, code)


# Subnets


@used("DependencyViolation")
def subnet_of_an_instance(make):
    subnet = make.subnet(make.vpc())
    instance = make.instance(subnet)
    make.stop(instance)
    return lambda: make.ec2.delete_subnet(SubnetId=subnet), lambda: make.terminate(instance)


@used("DependencyViolation")
def subnet_of_an_interface(make):
    subnet = make.subnet(make.vpc())
    interface = make.interface(subnet)
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
    )


@used("DependencyViolation")
def subnet_of_a_load_balancer(make):
    vpc = make.vpc()
    one, other = make.subnet(vpc), make.subnet(vpc, 1)
    balancer = make.balancer([one, other])
    return (
        lambda: make.ec2.delete_subnet(SubnetId=other),
        lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer),
    )


@used("DependencyViolation")
def subnet_that_a_load_balancer_leaves(make):
    vpc = make.vpc()
    one, other, third = (make.subnet(vpc, number) for number in range(3))
    balancer = make.balancer([one, other])
    return (
        lambda: make.ec2.delete_subnet(SubnetId=other),
        lambda: make.elbv2.set_subnets(LoadBalancerArn=balancer, Subnets=[one, third]),
    )


@used("DependencyViolation")
def subnet_of_a_nat_gateway(make):
    subnet = make.subnet(make.vpc())
    gateway = make.nat_gateway(subnet, make.address())
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.ec2.delete_nat_gateway(NatGatewayId=gateway),
    )


@used("DependencyViolation")
def subnet_of_an_endpoint(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    endpoint = make.endpoint(vpc, SubnetIds=[subnet])
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint]),
    )


@used("DependencyViolation")
def subnet_of_a_transit_gateway_attachment(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    attachment = make.transit_attachment(make.transit_gateway(), vpc, subnet)
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=attachment),
    )


@used("DependencyViolation")
def subnet_of_a_mount_target(make):
    subnet = make.subnet(make.vpc())
    target = make.mount_target(subnet)
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.account.client("efs").delete_mount_target(MountTargetId=target),
    )


@used("DependencyViolation")
def subnet_that_an_endpoint_leaves(make):
    vpc = make.vpc()
    subnet, other = make.subnet(vpc), make.subnet(vpc, 1)
    endpoint = make.endpoint(vpc, SubnetIds=[subnet, other])
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, RemoveSubnetIds=[subnet]),
    )


@used("DependencyViolation")
def subnet_of_a_database(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    make.account.client("rds").create_db_subnet_group(
        DBSubnetGroupName="one", DBSubnetGroupDescription="one", SubnetIds=[subnet, make.subnet(vpc, 1)]
    )
    return lambda: make.ec2.delete_subnet(SubnetId=subnet), make.database(DBSubnetGroupName="one")


@used("DependencyViolation")
def subnet_of_a_function(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    delete = make.function(SecurityGroupIds=[make.group(vpc)], SubnetIds=[subnet])
    return lambda: make.ec2.delete_subnet(SubnetId=subnet), delete


@used("DependencyViolation")
def subnet_that_an_endpoint_was_given_later(make):
    vpc = make.vpc()
    subnet, other = make.subnet(vpc), make.subnet(vpc, 1)
    endpoint = make.endpoint(vpc, SubnetIds=[other])
    make.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddSubnetIds=[subnet])
    return (
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
        lambda: make.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint]),
    )


# Route tables, network ACLs and options


@used("DependencyViolation")
def route_table_of_a_subnet(make):
    vpc = make.vpc()
    table, subnet = make.route_table(vpc), make.subnet(vpc)
    made = make.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return (
        lambda: make.ec2.delete_route_table(RouteTableId=table),
        lambda: make.ec2.disassociate_route_table(AssociationId=made["AssociationId"]),
    )


@used("DependencyViolation")
def route_table_of_a_subnet_that_is_deleted(make):
    vpc = make.vpc()
    table, subnet = make.route_table(vpc), make.subnet(vpc)
    make.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return lambda: make.ec2.delete_route_table(RouteTableId=table), lambda: make.ec2.delete_subnet(SubnetId=subnet)


@used("DependencyViolation")
def route_table_of_a_gateway_that_is_deleted(make):
    vpc = make.vpc()
    table, gateway = make.route_table(vpc), make.gateway(vpc)
    make.ec2.associate_route_table(RouteTableId=table, GatewayId=gateway)

    def release():
        make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        make.ec2.delete_internet_gateway(InternetGatewayId=gateway)

    return lambda: make.ec2.delete_route_table(RouteTableId=table), release


@used("DependencyViolation")
def main_route_table_that_is_replaced(make):
    vpc = make.vpc()
    main, association = make.main_route_table(vpc)
    other = make.route_table(vpc)
    return (
        lambda: make.ec2.delete_route_table(RouteTableId=main),
        lambda: make.ec2.replace_route_table_association(AssociationId=association, RouteTableId=other),
    )


@used("DependencyViolation")
def network_acl_of_a_subnet(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    default, association = make.network_acl_of(subnet)
    acl = make.ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    make.ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)

    def release():
        _, now = make.network_acl_of(subnet)
        make.ec2.replace_network_acl_association(AssociationId=now, NetworkAclId=default)

    return lambda: make.ec2.delete_network_acl(NetworkAclId=acl), release


@used("DependencyViolation")
def network_acl_of_a_subnet_that_is_deleted(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    _, association = make.network_acl_of(subnet)
    acl = make.ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    make.ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
    return lambda: make.ec2.delete_network_acl(NetworkAclId=acl), lambda: make.ec2.delete_subnet(SubnetId=subnet)


@used("DependencyViolation")
def dhcp_options_of_two_vpcs(make):
    one, other = make.vpc(), make.vpc("127.99")
    options = make.dhcp_options()
    for vpc in (one, other):
        make.ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=vpc)
    make.ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=other)
    return (
        lambda: make.ec2.delete_dhcp_options(DhcpOptionsId=options),
        lambda: make.ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=one),
    )


@used("DependencyViolation")
def dhcp_options_that_a_vpc_exchanges(make):
    vpc, options, other = make.vpc(), make.dhcp_options(), make.dhcp_options()
    make.ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=vpc)
    return (
        lambda: make.ec2.delete_dhcp_options(DhcpOptionsId=options),
        lambda: make.ec2.associate_dhcp_options(DhcpOptionsId=other, VpcId=vpc),
    )


@used("DependencyViolation")
def dhcp_options_of_a_vpc_that_is_deleted(make):
    vpc, options = make.vpc(), make.dhcp_options()
    make.ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=vpc)
    return lambda: make.ec2.delete_dhcp_options(DhcpOptionsId=options), lambda: make.ec2.delete_vpc(VpcId=vpc)


@used("InvalidCidrBlock.InUse")
def address_range_of_a_subnet(make):
    vpc = make.vpc()
    made = make.ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="127.99.0.0/16")
    subnet = make.ec2.create_subnet(VpcId=vpc, CidrBlock="127.99.0.0/20")["Subnet"]["SubnetId"]
    association = made["CidrBlockAssociation"]["AssociationId"]
    return (
        lambda: make.ec2.disassociate_vpc_cidr_block(AssociationId=association),
        lambda: make.ec2.delete_subnet(SubnetId=subnet),
    )


# VPCs


@used("DependencyViolation")
def vpc_with_a_subnet(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    return lambda: make.ec2.delete_vpc(VpcId=vpc), lambda: make.ec2.delete_subnet(SubnetId=subnet)


@used("DependencyViolation")
def vpc_with_an_internet_gateway(make):
    vpc = make.vpc()
    gateway = make.gateway(vpc)
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
    )


@used("DependencyViolation")
def vpc_with_an_egress_only_gateway(make):
    vpc = make.vpc()
    made = make.ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    gateway = made["EgressOnlyInternetGatewayId"]
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=gateway),
    )


@used("DependencyViolation")
def vpc_with_a_carrier_gateway(make):
    vpc = make.vpc()
    gateway = make.ec2.create_carrier_gateway(VpcId=vpc)["CarrierGateway"]["CarrierGatewayId"]
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.delete_carrier_gateway(CarrierGatewayId=gateway),
    )


@used("DependencyViolation")
def vpc_with_a_vpn_gateway(make):
    vpc, gateway = make.vpc(), make.vpn_gateway()
    make.ec2.attach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc)
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.detach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc),
    )


@used("DependencyViolation")
def vpc_with_a_security_group(make):
    vpc = make.vpc()
    group = make.group(vpc)
    return lambda: make.ec2.delete_vpc(VpcId=vpc), lambda: make.ec2.delete_security_group(GroupId=group)


@used("DependencyViolation")
def vpc_with_a_route_table(make):
    vpc = make.vpc()
    table = make.route_table(vpc)
    return lambda: make.ec2.delete_vpc(VpcId=vpc), lambda: make.ec2.delete_route_table(RouteTableId=table)


@used("DependencyViolation")
def vpc_with_a_network_acl(make):
    vpc = make.vpc()
    acl = make.ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    return lambda: make.ec2.delete_vpc(VpcId=vpc), lambda: make.ec2.delete_network_acl(NetworkAclId=acl)


@used("DependencyViolation")
def vpc_with_an_endpoint(make):
    vpc = make.vpc()
    endpoint = make.endpoint(vpc, ServiceName="com.amazonaws.eu-central-1.s3", VpcEndpointType="Gateway")
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint]),
    )


@used("DependencyViolation")
def vpc_with_a_peering_connection_that_it_asked_for(make):
    vpc, other = make.vpc(), make.vpc("127.99")
    connection = make.peering(vpc, other)
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=connection),
    )


@used("DependencyViolation")
def vpc_with_a_peering_connection_that_it_accepted(make):
    vpc, other = make.vpc(), make.vpc("127.99")
    connection = make.peering(other, vpc)
    return (
        lambda: make.ec2.delete_vpc(VpcId=vpc),
        lambda: make.ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=connection),
    )
