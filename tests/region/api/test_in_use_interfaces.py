"""Network interfaces, and the addresses that they have."""

import pytest
from making import in_use_cases, kept_until_free

from tests.polling import eventually

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_interfaces_in_use_are_kept_until_they_are_free(make, case, code):
    kept_until_free(make, case, code)


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
