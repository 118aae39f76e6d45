"""A region touches its own addresses only: what would have another one is refused at the call that makes it."""

from ipaddress import ip_address, ip_network

import pytest
from asking import refused, running

from tests.polling import eventually

OWN = "172.31.0.0/16"


def vpc(account, block):
    """Make a VPC with a subnet in two zones and return their ids."""
    made = account.ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    halves = ip_network(block).subnets(1)
    return [
        account.ec2.create_subnet(VpcId=made, CidrBlock=str(half), AvailabilityZone=f"eu-central-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for half, zone in zip(halves, "ab", strict=True)
    ]


@pytest.fixture
def foreign(account):
    """Subnets of a range that may be a LAN's."""
    return vpc(account, "192.168.77.0/24")


def nothing_is_there(account):
    assert account.ec2.describe_instances()["Reservations"] == []
    assert account.ec2.describe_volumes()["Volumes"] == []
    assert account.driver.calls == []


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("way", ["subnet", "interface", "second interface", "template"])
def test_an_instance_outside_is_refused_at_the_call(account, base, foreign, way, dry):
    inside = account.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    interface = {"DeviceIndex": 0, "SubnetId": foreign[0]}
    fields = {
        "subnet": {"SubnetId": foreign[0]},
        "interface": {"NetworkInterfaces": [interface]},
        "second interface": {
            "NetworkInterfaces": [interface | {"SubnetId": inside["SubnetId"]}, interface | {"DeviceIndex": 1}]
        },
        "template": {"LaunchTemplate": {"LaunchTemplateName": "one"}},
    }[way]
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData={"NetworkInterfaces": [interface]})
    message = refused(
        "InvalidParameterValue", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=2, DryRun=dry, **fields
    )
    for said in (foreign[0], "192.168.77.0/25", OWN, "give the VPC a CIDR block inside"):
        assert said in message
    nothing_is_there(account)


def test_an_interface_outside_may_exist_and_no_instance_has_it(account, base, foreign):
    made = account.ec2.create_network_interface(SubnetId=foreign[0], PrivateIpAddress="192.168.77.9")
    interface = made["NetworkInterface"]["NetworkInterfaceId"]
    existing = [{"DeviceIndex": 0, "NetworkInterfaceId": interface}]
    message = refused(
        "InvalidParameterValue", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1,
        NetworkInterfaces=existing,
    )  # fmt: skip
    assert "192.168.77.9" in message
    nothing_is_there(account)


def test_a_load_balancer_outside_is_refused_and_nothing_is_made(account, foreign):
    elbv2 = account.client("elbv2")
    inside = [one["SubnetId"] for one in account.ec2.describe_subnets()["Subnets"] if one["DefaultForAz"]]
    for subnets in (foreign, [inside[0], foreign[1]]):
        for fields in ({"Subnets": subnets}, {"SubnetMappings": [{"SubnetId": one} for one in subnets]}):
            message = refused("InvalidSubnet", elbv2.create_load_balancer, Name="one", **fields)
            assert "192.168.77." in message
            assert OWN in message
    assert elbv2.describe_load_balancers()["LoadBalancers"] == []
    made = elbv2.create_load_balancer(Name="one", Subnets=inside[:2])["LoadBalancers"][0]
    refused("InvalidSubnet", elbv2.set_subnets, LoadBalancerArn=made["LoadBalancerArn"], Subnets=foreign)
    (found,) = elbv2.describe_load_balancers()["LoadBalancers"]
    assert {one["SubnetId"] for one in found["AvailabilityZones"]} == set(inside[:2])


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("10.9.9.9", "InvalidParameterValue", "does not fall within the subnet's address range"),
        ("127.41.0.3", "InvalidParameterValue", "is in subnet's reserved address range"),
        ("127.41.127.255", "InvalidParameterValue", "is in subnet's reserved address range"),
        ("127.41.0.300", "InvalidParameterValue", "invalid value"),
        ("127.41.0.9", "InvalidIPAddress.InUse", "Address 127.41.0.9 is in use"),
    ],
)
@pytest.mark.parametrize("way", ["instance", "interface", "further", "existing"])
def test_an_address_is_in_its_subnet_and_one_s_own(account, base, address, code, words, way):  # noqa: PLR0917  pytest
    subnet, _ = vpc(account, "127.41.0.0/16")
    account.ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress="127.41.0.9")
    launch = {"ImageId": base, "MinCount": 1, "MaxCount": 1}
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "PrivateIpAddresses": [
        {"PrivateIpAddress": "127.41.0.8", "Primary": True}, {"PrivateIpAddress": address, "Primary": False},
    ]}  # fmt: skip
    call, fields = {
        "instance": (account.ec2.run_instances, launch | {"SubnetId": subnet, "PrivateIpAddress": address}),
        "further": (account.ec2.run_instances, launch | {"NetworkInterfaces": [interface]}),
        "interface": (
            account.ec2.run_instances,
            launch | {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "PrivateIpAddress": address}]},
        ),
        "existing": (account.ec2.create_network_interface, {"SubnetId": subnet, "PrivateIpAddress": address}),
    }[way]
    assert words in refused(code, call, **fields)
    nothing_is_there(account)


def test_interfaces_and_instances_never_share_an_address(account, base):
    subnet, _ = vpc(account, "127.42.0.0/27")
    made = [account.ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"] for _ in range(3)]
    instances = [account.instance(running(account, base, SubnetId=subnet)) for _ in range(3)]
    account.ec2.assign_private_ip_addresses(
        NetworkInterfaceId=made[0]["NetworkInterfaceId"], SecondaryPrivateIpAddressCount=2
    )
    refused(
        "InvalidIPAddress.InUse", account.ec2.assign_private_ip_addresses,
        NetworkInterfaceId=made[0]["NetworkInterfaceId"], PrivateIpAddresses=[instances[0]["PrivateIpAddress"]],
    )  # fmt: skip
    addresses = [
        one["PrivateIpAddress"]
        for interface in account.ec2.describe_network_interfaces()["NetworkInterfaces"]
        for one in interface["PrivateIpAddresses"]
    ]
    assert len(addresses) == len(set(addresses)) == 8
    assert all(ip_address(one) in ip_network("127.42.0.0/28") for one in addresses)
    freed = made[1]["PrivateIpAddress"]
    account.ec2.delete_network_interface(NetworkInterfaceId=made[1]["NetworkInterfaceId"])
    fresh = [account.instance(running(account, base, SubnetId=subnet))["PrivateIpAddress"] for _ in range(2)]
    assert freed in fresh


def test_two_vpcs_of_one_range_never_share_an_address(account, base):
    first, twin = vpc(account, "127.43.0.0/16")[0], vpc(account, "127.43.0.0/16")
    one = running(account, base, SubnetId=first)
    address = account.instance(one)["PrivateIpAddress"]
    launch = {"ImageId": base, "MinCount": 1, "MaxCount": 1}
    for dry in (True, False):
        message = refused(
            "InvalidIPAddress.InUse", account.ec2.run_instances, **launch, SubnetId=twin[0],
            PrivateIpAddress=address, DryRun=dry,
        )  # fmt: skip
        assert one in message
    other = running(account, base, SubnetId=twin[0])
    assert account.instance(other)["PrivateIpAddress"] != address
    # The address is given back when it is free.
    account.ec2.terminate_instances(InstanceIds=[one])
    eventually(lambda: account.instance(one)["State"]["Name"] == "terminated")
    assert account.instance(running(account, base, SubnetId=twin[0], PrivateIpAddress=address))["State"]

    elbv2 = account.client("elbv2")
    mine = vpc(account, "127.43.0.0/16")
    top = account.ec2.create_network_interface(SubnetId=mine[0], PrivateIpAddress="127.43.127.250")
    elbv2.create_load_balancer(Name="one", Subnets=twin)
    with account.driver.lock:
        taken = account.backend.get_subnet(twin[0])._subnet_ips
    assert "127.43.127.249" in taken
    assert "127.43.127.250" not in taken
    assert top


def test_an_elastic_address_is_nobody_s(account, base):
    instance = running(account, base)
    calls = list(account.driver.calls)
    made = [account.ec2.allocate_address(Domain="vpc") for _ in range(3)]
    addresses = {one["PublicIp"] for one in made}
    assert len(addresses) == 3
    assert all(ip_address(one) in ip_network("203.0.113.0/24") for one in addresses)
    account.ec2.associate_address(InstanceId=instance, AllocationId=made[0]["AllocationId"])
    assert account.instance(instance)["PublicIpAddress"] == made[0]["PublicIp"]
    assert account.driver.calls == calls
