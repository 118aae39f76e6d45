"""Security groups: what has one, and what names one."""

import pytest
from making import in_use_cases, kept_until_free

from tests.polling import eventually

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_groups_in_use_are_kept_until_they_are_free(make, case, code):
    kept_until_free(make, case, code)


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
def group_of_an_instance_that_shuts_down(make):
    vpc, driver = make.vpc(), make.account.driver
    group = make.group(vpc)
    instance = make.instance(make.subnet(vpc), SecurityGroupIds=[group])
    driver.may_go_on.clear()
    make.ec2.terminate_instances(InstanceIds=[instance])

    def release():
        driver.may_go_on.set()
        eventually(lambda: make.state(instance) == "terminated")

    return lambda: make.ec2.delete_security_group(GroupId=group), release


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
