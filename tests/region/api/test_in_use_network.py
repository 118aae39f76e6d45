"""What EC2 refuses to delete while something uses it, and deletes once nothing does."""

import pytest
from asking import refused
from making import Maker, in_use_cases

from tests.polling import eventually

CASES, used = in_use_cases()


@pytest.fixture
def make(account, base):
    return Maker(account, base)


@pytest.mark.parametrize(("case", "code"), CASES)
def test_what_is_in_use_is_kept_until_it_is_free(make, case, code):
    delete, release = case(make)
    before = make.everything()
    message = refused(code, delete)
    assert message
    assert make.everything() == before, "a refused delete changes nothing"
    release()
    delete()


# Security groups


@used("DependencyViolation")
def group_of_a_running_instance(make):
    vpc = make.vpc()
    group = make.group(vpc)
    instance = make.instance(make.subnet(vpc), SecurityGroupIds=[group])
    return lambda: make.ec2.delete_security_group(GroupId=group), lambda: make.terminate(instance)


@used("DependencyViolation")
def group_of_a_stopped_instance(make):
    vpc = make.vpc()
    group = make.group(vpc)
    instance = make.instance(make.subnet(vpc), SecurityGroupIds=[group])
    make.stop(instance)
    return lambda: make.ec2.delete_security_group(GroupId=group), lambda: make.terminate(instance)


@used("DependencyViolation")
def group_that_an_instance_exchanges(make):
    vpc = make.vpc()
    group, other = make.group(vpc), make.group(vpc)
    instance = make.instance(make.subnet(vpc), SecurityGroupIds=[group])
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.ec2.modify_instance_attribute(InstanceId=instance, Groups=[other]),
    )


@used("DependencyViolation")
def group_that_an_instance_was_given_later(make):
    vpc = make.vpc()
    group, other = make.group(vpc), make.group(vpc)
    instance = make.instance(make.subnet(vpc), SecurityGroupIds=[other])
    make.ec2.modify_instance_attribute(InstanceId=instance, Groups=[group])
    return lambda: make.ec2.delete_security_group(GroupId=group), lambda: make.terminate(instance)


@used("DependencyViolation")
def group_that_an_attached_interface_exchanges(make):
    vpc = make.vpc()
    group, other = make.group(vpc), make.group(vpc)
    instance = make.instance(make.subnet(vpc), SecurityGroupIds=[group])
    (interface,) = make.interfaces_of(instance)
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[other]),
    )


@used("DependencyViolation")
def group_of_an_interface_in_an_instance_s_launch(make):
    vpc = make.vpc()
    group, subnet = make.group(vpc), make.subnet(vpc)
    instance = make.account.run(
        make.image, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}]
    )
    eventually(lambda: make.state(instance) == "running")
    return lambda: make.ec2.delete_security_group(GroupId=group), lambda: make.terminate(instance)


@used("DependencyViolation")
def group_of_an_interface(make):
    vpc = make.vpc()
    group = make.group(vpc)
    interface = make.interface(make.subnet(vpc), Groups=[group])
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
    )


@used("DependencyViolation")
def group_of_an_interface_that_outlived_its_instance(make):
    vpc = make.vpc()
    group, subnet = make.group(vpc), make.subnet(vpc)
    interface = make.interface(subnet, Groups=[group])
    instance = make.account.run(make.image, NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}])
    eventually(lambda: make.state(instance) == "running")
    make.terminate(instance)
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
    )


@used("DependencyViolation")
def group_of_a_load_balancer(make):
    vpc = make.vpc()
    group = make.group(vpc)
    balancer = make.balancer([make.subnet(vpc), make.subnet(vpc, 1)], [group])
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer),
    )


@used("DependencyViolation")
def group_that_a_load_balancer_exchanges(make):
    vpc = make.vpc()
    group, other = make.group(vpc), make.group(vpc)
    balancer = make.balancer([make.subnet(vpc), make.subnet(vpc, 1)], [other])
    make.elbv2.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=[group])
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.elbv2.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=[other]),
    )


@used("DependencyViolation")
def group_of_an_endpoint(make):
    vpc = make.vpc()
    group = make.group(vpc)
    endpoint = make.endpoint(vpc, SubnetIds=[make.subnet(vpc)], SecurityGroupIds=[group])
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint]),
    )


@used("DependencyViolation")
def group_in_another_group_s_ingress(make):
    vpc = make.vpc()
    group, other = make.group(vpc), make.group(vpc)
    revoke = make.allow(other, group)
    return lambda: make.ec2.delete_security_group(GroupId=group), revoke


@used("DependencyViolation")
def group_in_another_group_s_egress(make):
    vpc = make.vpc()
    group, other = make.group(vpc), make.group(vpc)
    make.allow(other, group, "egress")
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.ec2.delete_security_group(GroupId=other),
    )


@used("DependencyViolation")
def group_in_a_rule_of_the_default_group(make):
    vpc = make.vpc()
    group = make.group(vpc)
    revoke = make.allow(make.default_group(vpc), group)
    return lambda: make.ec2.delete_security_group(GroupId=group), revoke


@used("DependencyViolation")
def group_of_a_database(make):
    group = make.group(make.vpc())
    return lambda: make.ec2.delete_security_group(GroupId=group), make.database(VpcSecurityGroupIds=[group])


@used("DependencyViolation")
def group_of_a_cache(make):
    group, elasticache = make.group(make.vpc()), make.account.client("elasticache")
    elasticache.create_cache_cluster(
        CacheClusterId="one", Engine="redis", CacheNodeType="cache.t3.micro", NumCacheNodes=1, SecurityGroupIds=[group]
    )
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: elasticache.delete_cache_cluster(CacheClusterId="one"),
    )


@used("DependencyViolation")
def group_of_a_function(make):
    vpc = make.vpc()
    group = make.group(vpc)
    delete = make.function(SecurityGroupIds=[group], SubnetIds=[make.subnet(vpc)])
    return lambda: make.ec2.delete_security_group(GroupId=group), delete


@used("DependencyViolation")
def group_of_a_mount_target(make):
    vpc = make.vpc()
    group = make.group(vpc)
    target = make.mount_target(make.subnet(vpc), SecurityGroups=[group])
    return (
        lambda: make.ec2.delete_security_group(GroupId=group),
        lambda: make.account.client("efs").delete_mount_target(MountTargetId=target),
    )


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


# Network interfaces and addresses


@used("InvalidNetworkInterface.InUse")
def interface_that_is_attached(make):
    subnet = make.subnet(make.vpc())
    interface, instance = make.interface(subnet), make.instance(subnet)
    attachment = make.attach(interface, instance)
    return (
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
        lambda: make.ec2.detach_network_interface(AttachmentId=attachment),
    )


@used("InvalidNetworkInterface.InUse")
def interface_of_an_instance_that_ends(make):
    subnet = make.subnet(make.vpc())
    interface, instance = make.interface(subnet), make.instance(subnet)
    make.attach(interface, instance)
    return (
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
        lambda: make.terminate(instance),
    )


@used("InvalidNetworkInterface.InUse")
def interface_that_an_instance_was_launched_with(make):
    subnet = make.subnet(make.vpc())
    interface = make.interface(subnet)
    instance = make.account.run(make.image, NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}])
    eventually(lambda: make.state(instance) == "running")
    return (
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
        lambda: make.terminate(instance),
    )


@used("InvalidNetworkInterface.InUse")
def interface_that_another_instance_wants(make):
    subnet = make.subnet(make.vpc())
    interface, instance, other = make.interface(subnet), make.instance(subnet), make.instance(subnet)
    attachment = make.attach(interface, instance)
    return lambda: make.attach(interface, other), lambda: make.ec2.detach_network_interface(AttachmentId=attachment)


@used("InvalidNetworkInterface.InUse")
def interface_that_another_launch_wants(make):
    subnet = make.subnet(make.vpc())
    interface, instance = make.interface(subnet), make.instance(subnet)
    attachment = make.attach(interface, instance)
    return (
        lambda: make.account.run(make.image, NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}]),
        lambda: make.ec2.detach_network_interface(AttachmentId=attachment),
    )


@used("InvalidIPAddress.InUse")
def address_of_an_instance(make):
    vpc = make.vpc()
    address, instance = make.address(), make.instance(make.subnet(vpc))
    make.ec2.associate_address(AllocationId=address, InstanceId=instance)
    return (
        lambda: make.ec2.release_address(AllocationId=address),
        lambda: make.ec2.disassociate_address(AssociationId=make.association(address)),
    )


@used("InvalidIPAddress.InUse")
def address_of_an_instance_that_ends(make):
    address, instance = make.address(), make.instance(make.subnet(make.vpc()))
    make.ec2.associate_address(AllocationId=address, InstanceId=instance)
    return lambda: make.ec2.release_address(AllocationId=address), lambda: make.terminate(instance)


@used("InvalidIPAddress.InUse")
def address_of_an_interface_that_is_deleted(make):
    address, interface = make.address(), make.interface(make.subnet(make.vpc()))
    make.ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)
    return (
        lambda: make.ec2.release_address(AllocationId=address),
        lambda: make.ec2.delete_network_interface(NetworkInterfaceId=interface),
    )


@used("InvalidIPAddress.InUse")
def address_of_a_nat_gateway(make):
    address = make.address()
    gateway = make.nat_gateway(make.subnet(make.vpc()), address)
    return (
        lambda: make.ec2.release_address(AllocationId=address),
        lambda: make.ec2.delete_nat_gateway(NatGatewayId=gateway),
    )


# Gateways


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


# Storage and templates


@used("VolumeInUse")
def volume_that_is_attached(make):
    instance = make.instance(make.subnet(make.vpc()))
    volume = make.volume()
    make.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    return lambda: make.ec2.delete_volume(VolumeId=volume), lambda: make.ec2.detach_volume(VolumeId=volume)


@used("VolumeInUse")
def volume_of_an_instance_that_ends(make):
    instance = make.instance(make.subnet(make.vpc()))
    volume = make.volume()
    make.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    return lambda: make.ec2.delete_volume(VolumeId=volume), lambda: make.terminate(instance)


@used("VolumeInUse")
def volume_that_another_instance_wants(make):
    subnet, volume = make.subnet(make.vpc()), make.volume()
    one, other = make.instance(subnet), make.instance(subnet)
    make.ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")
    return (
        lambda: make.ec2.attach_volume(VolumeId=volume, InstanceId=other, Device="/dev/sdf"),
        lambda: make.terminate(one),
    )


@used("IncorrectState")
def root_volume_of_a_running_instance(make):
    instance = make.instance(make.subnet(make.vpc()))
    root = make.account.instance(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    return lambda: make.ec2.detach_volume(VolumeId=root), lambda: make.stop(instance)


@used("InvalidSnapshot.InUse")
def snapshot_of_an_image(make):
    (mapping,) = make.account.image(make.image)["BlockDeviceMappings"]
    return (
        lambda: make.ec2.delete_snapshot(SnapshotId=mapping["Ebs"]["SnapshotId"]),
        lambda: make.ec2.deregister_image(ImageId=make.image),
    )


@used("InvalidSnapshot.InUse")
def snapshot_that_an_image_was_registered_with(make):
    snapshot = make.ec2.create_snapshot(VolumeId=make.volume())["SnapshotId"]
    image = make.ec2.register_image(
        Name="of a snapshot",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
    )["ImageId"]
    return (
        lambda: make.ec2.delete_snapshot(SnapshotId=snapshot),
        lambda: make.ec2.deregister_image(ImageId=image),
    )


# What is never deleted


def test_a_vpc_s_own_parts_stay_with_it(make):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    acl, _ = make.network_acl_of(subnet)
    make.ec2.delete_subnet(SubnetId=subnet)
    group, (table, _) = make.default_group(vpc), make.main_route_table(vpc)
    before = make.everything()
    refused("CannotDelete", make.ec2.delete_security_group, GroupId=group)
    refused("CannotDelete", make.ec2.delete_security_group, GroupName="default")
    refused("InvalidParameterValue", make.ec2.delete_network_acl, NetworkAclId=acl)
    refused("DependencyViolation", make.ec2.delete_route_table, RouteTableId=table)
    assert make.everything() == before
    make.ec2.delete_vpc(VpcId=vpc)
    assert vpc not in str(make.everything())


def test_the_first_interface_of_an_instance_is_not_detached(make):
    subnet = make.subnet(make.vpc())
    instance = make.instance(subnet)
    make.attach(make.interface(subnet), instance)
    first = next(
        one for one in make.account.instance(instance)["NetworkInterfaces"] if not one["Attachment"]["DeviceIndex"]
    )
    refused(
        "OperationNotPermitted",
        make.ec2.detach_network_interface,
        AttachmentId=first["Attachment"]["AttachmentId"],
    )


@pytest.mark.parametrize("service", ["nat gateway", "endpoint", "mount target"])
def test_the_interface_of_a_service_is_deleted_by_it_alone(make, service):
    vpc = make.vpc()
    subnet = make.subnet(vpc)
    match service:
        case "nat gateway":
            make.nat_gateway(subnet, make.address())
        case "endpoint":
            make.endpoint(vpc, SubnetIds=[subnet])
        case "mount target":
            make.mount_target(subnet)
    (interface,) = make.ec2.describe_network_interfaces()["NetworkInterfaces"]
    refused(
        "InvalidNetworkInterface.InUse",
        make.ec2.delete_network_interface,
        NetworkInterfaceId=interface["NetworkInterfaceId"],
    )


def test_the_default_route_table_of_a_transit_gateway_goes_with_it(make):
    gateway = make.transit_gateway()
    (table,) = make.ec2.describe_transit_gateway_route_tables()["TransitGatewayRouteTables"]
    table = table["TransitGatewayRouteTableId"]
    refused("IncorrectState", make.ec2.delete_transit_gateway_route_table, TransitGatewayRouteTableId=table)
    make.ec2.delete_transit_gateway(TransitGatewayId=gateway)
    assert make.ec2.describe_transit_gateway_route_tables()["TransitGatewayRouteTables"] == []


# What AWS lets go


def test_a_group_may_name_itself_and_be_named_from_another_vpc(make):
    one, other = make.vpc(), make.vpc("127.99")
    group = make.group(one)
    make.allow(group, group)
    make.allow(make.group(other), group)
    make.ec2.delete_security_group(GroupId=group)


def test_groups_that_name_each_other_go_once_a_rule_is_revoked(make):
    vpc = make.vpc()
    one, other = make.group(vpc), make.group(vpc)
    make.allow(one, other)
    revoke = make.allow(other, one)
    refused("DependencyViolation", make.ec2.delete_security_group, GroupId=one)
    refused("DependencyViolation", make.ec2.delete_security_group, GroupId=other)
    revoke()
    make.ec2.delete_security_group(GroupId=one)
    make.ec2.delete_security_group(GroupId=other)


def test_an_address_in_the_default_vpc_is_disassociated_by_its_release(make):
    address = make.address()
    subnet = make.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    instance = make.instance(subnet["SubnetId"])
    make.ec2.associate_address(AllocationId=address, InstanceId=instance)
    public = make.account.instance(instance)["PublicIpAddress"]
    make.ec2.release_address(AllocationId=address)
    assert make.account.instance(instance).get("PublicIpAddress") != public
    assert make.ec2.describe_addresses()["Addresses"] == []


def test_a_prefix_list_that_is_referenced_fails_to_be_deleted(make):
    vpc = make.vpc()
    lists = [
        make.ec2.create_managed_prefix_list(PrefixListName=make.name(), MaxEntries=2, AddressFamily="IPv4")
        for _ in range(2)
    ]
    in_rule, in_route = (one["PrefixList"]["PrefixListId"] for one in lists)
    group, table = make.group(vpc), make.route_table(vpc)
    rule = {
        "GroupId": group,
        "IpPermissions": [{"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": in_rule}]}],
    }
    make.ec2.authorize_security_group_ingress(**rule)
    route = {"RouteTableId": table, "DestinationPrefixListId": in_route}
    make.ec2.create_route(**route, GatewayId=make.gateway(vpc))

    def state(prefix_list):
        found = make.ec2.describe_managed_prefix_lists(PrefixListIds=[prefix_list])["PrefixLists"]
        return [one["State"] for one in found]

    for one in (in_rule, in_route):
        make.ec2.delete_managed_prefix_list(PrefixListId=one)
        assert state(one) == ["delete-failed"]
    make.ec2.revoke_security_group_ingress(**rule)
    make.ec2.delete_route(**route)
    for one in (in_rule, in_route):
        make.ec2.delete_managed_prefix_list(PrefixListId=one)
        assert state(one) in ([], ["delete-complete"])


def test_what_only_names_a_thing_does_not_keep_it(make):
    """Templates, routes, images of what runs and keys: EC2 lets them dangle."""
    vpc = make.vpc()
    subnet, group, table = make.subnet(vpc), make.group(vpc), make.route_table(vpc)
    make.ec2.create_key_pair(KeyName="mine")
    make.ec2.create_launch_template(
        LaunchTemplateName="one",
        LaunchTemplateData={
            "KeyName": "mine", "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}],
        },
    )  # fmt: skip
    instance = make.instance(subnet, KeyName="mine")
    nat = make.nat_gateway(subnet, make.address())
    make.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    make.ec2.delete_nat_gateway(NatGatewayId=nat)
    make.ec2.delete_key_pair(KeyName="mine")
    make.ec2.delete_security_group(GroupId=group)
    make.ec2.deregister_image(ImageId=make.image)
    make.terminate(instance)
    make.ec2.delete_subnet(SubnetId=subnet)
    make.ec2.delete_launch_template(LaunchTemplateName="one")


def test_an_endpoint_goes_though_its_route_table_is_gone_and_leaves_a_list_that_can_be_told(make):
    vpc = make.vpc()
    group, (one, other) = make.group(vpc), [make.route_table(vpc) for _ in range(2)]
    gateway = make.endpoint(
        vpc, ServiceName="com.amazonaws.eu-central-1.s3", VpcEndpointType="Gateway", RouteTableIds=[one]
    )
    make.ec2.modify_vpc_endpoint(VpcEndpointId=gateway, AddRouteTableIds=[other])
    interface = make.endpoint(vpc, SubnetIds=[make.subnet(vpc)], SecurityGroupIds=[group])
    make.ec2.delete_route_table(RouteTableId=one)
    make.ec2.delete_vpc_endpoints(VpcEndpointIds=[gateway, interface])
    make.ec2.delete_security_group(GroupId=group)
    assert {one["State"] for one in make.ec2.describe_vpc_endpoints()["VpcEndpoints"]} <= {"deleted"}


def test_a_snapshot_of_two_images_is_skipped_when_one_of_them_goes(make):
    snapshot = make.ec2.create_snapshot(VolumeId=make.volume())["SnapshotId"]
    one, other = (
        make.ec2.register_image(
            Name=name,
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
        )["ImageId"]
        for name in ("one", "other")
    )
    for image, result in ((one, "skipped"), (other, "success")):
        answer = make.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
        assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": result}]


def test_an_interface_that_outlives_its_instance_serves_another(make):
    subnet = make.subnet(make.vpc())
    interface = make.interface(subnet)
    launched = [{"DeviceIndex": 0, "NetworkInterfaceId": interface}]
    first = make.account.run(make.image, NetworkInterfaces=launched)
    eventually(lambda: make.state(first) == "running")
    make.terminate(first)
    (shown,) = make.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
    assert (shown["Status"], "Attachment" in shown) == ("available", False)
    second = make.account.run(make.image, NetworkInterfaces=launched)
    eventually(lambda: make.state(second) == "running")
    assert make.interfaces_of(second) == [interface]


def test_nothing_of_a_vpc_is_left_when_all_of_it_is_deleted(make):
    """The order of ``terraform destroy``, with each thing used by another."""
    vpc = make.vpc()
    one, other = make.subnet(vpc), make.subnet(vpc, 1)
    gateway, table = make.gateway(vpc), make.route_table(vpc)
    for subnet in (one, other):
        make.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    balanced, serving = make.group(vpc), make.group(vpc)
    make.allow(serving, balanced)
    balancer = make.balancer([one, other], [balanced], Scheme="internet-facing")
    instances = [make.instance(subnet, SecurityGroupIds=[serving]) for subnet in (one, other)]
    address = make.address()
    nat = make.nat_gateway(one, address)
    for instance in instances:
        make.terminate(instance)
    make.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    make.ec2.delete_nat_gateway(NatGatewayId=nat)
    make.ec2.release_address(AllocationId=address)
    make.ec2.delete_security_group(GroupId=serving)
    make.ec2.delete_security_group(GroupId=balanced)
    make.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    make.ec2.delete_internet_gateway(InternetGatewayId=gateway)
    for subnet in (one, other):
        make.ec2.delete_subnet(SubnetId=subnet)
    make.ec2.delete_route_table(RouteTableId=table)
    make.ec2.delete_vpc(VpcId=vpc)
    assert make.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert make.ec2.describe_addresses()["Addresses"] == []


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("delete_security_group", {"GroupId": "group"}),
        ("delete_subnet", {"SubnetId": "subnet"}),
        ("delete_vpc", {"VpcId": "vpc"}),
        ("delete_route_table", {"RouteTableId": "table"}),
        ("delete_dhcp_options", {"DhcpOptionsId": "options"}),
    ],
)
def test_a_dry_run_deletes_nothing(make, call, arguments):
    made = {"vpc": make.vpc(), "options": make.dhcp_options()}
    made |= {"group": make.group(made["vpc"]), "table": make.route_table(made["vpc"])}
    made["subnet"] = make.subnet(made["vpc"])
    before = make.everything()
    refused(
        "DryRunOperation", getattr(make.ec2, call), DryRun=True, **{key: made[one] for key, one in arguments.items()}
    )
    assert make.everything() == before


@pytest.mark.parametrize(
    ("call", "field", "code"),
    [
        ("delete_security_group", "GroupId", "InvalidGroup.NotFound"),
        ("delete_subnet", "SubnetId", "InvalidSubnetID.NotFound"),
        ("delete_vpc", "VpcId", "InvalidVpcID.NotFound"),
        ("delete_network_interface", "NetworkInterfaceId", "InvalidNetworkInterfaceID.NotFound"),
        ("release_address", "AllocationId", "InvalidAllocationID.NotFound"),
        ("delete_nat_gateway", "NatGatewayId", "NatGatewayNotFound"),
        ("delete_managed_prefix_list", "PrefixListId", "InvalidPrefixListID.NotFound"),
        ("delete_transit_gateway", "TransitGatewayId", "InvalidTransitGatewayID.NotFound"),
        ("delete_transit_gateway_route_table", "TransitGatewayRouteTableId", "InvalidRouteTableID.NotFound"),
    ],
)
def test_what_does_not_exist_is_not_in_use(make, call, field, code):
    refused(code, getattr(make.ec2, call), **{field: "none-0123456789abcdef0"})
