"""What EC2 never deletes, and what it lets go though something names it."""

import pytest
from asking import refused

from tests.polling import eventually


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
