"""What goes wrong between a group, its machines and its load balancer."""

import json
import os
import signal
import urllib.request
from collections import Counter

import pytest
from botocore.exceptions import ClientError

from homeport.region.journal import Journal

from .conftest import USER_DATA


def ids(members):
    return {m["InstanceId"] for m in members}


def code(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def test_what_runs_already_is_left_alone_by_a_start(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    pid = account.machine(member).pid
    answer = account.ec2.start_instances(InstanceIds=[member])["StartingInstances"][0]
    assert answer["CurrentState"]["Name"] == answer["PreviousState"]["Name"] == "running"
    assert account.machine(member).pid == pid
    assert account.state_of(member) == "running"


def test_what_has_ended_stays_ended(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    account.ec2.terminate_instances(InstanceIds=[member])
    account.wait("it ended", lambda: account.state_of(member) == "terminated")
    for call in (account.ec2.start_instances, account.ec2.stop_instances, account.ec2.reboot_instances):
        assert code(call, InstanceIds=[member]) == "IncorrectInstanceState"
    again = account.ec2.terminate_instances(InstanceIds=[member])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"
    assert account.machine(member) is None


def test_a_reboot_gives_the_instance_a_new_process(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    pid = account.machine(member).pid
    account.ec2.reboot_instances(InstanceIds=[member])
    account.wait("a new process", lambda: (m := account.machine(member)) and m.running and m.pid not in (0, pid))
    assert ids(account.settled(group, 1)) == {member}


def test_the_console_is_the_machine_s_own(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    account.wait("it listens", lambda: "listening" in account.ec2.get_console_output(InstanceId=member)["Output"])


def test_one_address_is_never_two_machines_at_once(account):
    """Two VPCs may share a range in AWS; here the second instance fails, and says why."""
    network = account.ec2.describe_vpcs(VpcIds=[account.vpc])["Vpcs"][0]["CidrBlock"]
    vpc = account.ec2.create_vpc(CidrBlock=network)["Vpc"]["VpcId"]
    twin = account.ec2.create_subnet(VpcId=vpc, CidrBlock=network.replace("0.0/16", "0.0/20"))["Subnet"]["SubnetId"]
    address = network.replace("0.0/16", "9.9")

    def launch(subnet):
        return account.ec2.run_instances(
            ImageId=account.image, MinCount=1, MaxCount=1, SubnetId=subnet, PrivateIpAddress=address, UserData=USER_DATA
        )["Instances"][0]["InstanceId"]

    first = launch(account.subnets[0])
    account.wait("the first runs", lambda: account.state_of(first) == "running")
    second = launch(twin)
    account.wait("the second is given up", lambda: account.state_of(second) == "terminated")
    (found,) = account.ec2.describe_instances(InstanceIds=[second])["Reservations"][0]["Instances"]
    assert first in found["StateReason"]["Message"]
    token = urllib.request.Request(f"http://{address}:1338/latest/api/token", method="PUT")
    token.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
    key = urllib.request.urlopen(token).read().decode()
    asked = urllib.request.Request(f"http://{address}:1338/latest/meta-data/instance-id")
    asked.add_header("X-aws-ec2-metadata-token", key)
    assert urllib.request.urlopen(asked).read().decode() == first
    account.ec2.terminate_instances(InstanceIds=[first])
    account.wait("the first ended", lambda: account.state_of(first) == "terminated")


def test_what_would_run_nothing_is_refused(account):
    template = {"LaunchTemplateSpecification": {"LaunchTemplateName": "any", "Version": "1"}}
    fleet = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"}
    assert (
        code(account.ec2.create_fleet, LaunchTemplateConfigs=[template], TargetCapacitySpecification=fleet)
        == "InvalidAction"
    )
    assert code(account.ec2.request_spot_instances, InstanceCount=1) == "InvalidAction"


def test_a_template_s_later_version_launches(account, group):
    template = account.template()
    account.ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.small"}
    )
    account.create(group, 1, template=template)
    member = account.settled(group, 1)[0]
    assert (member["LaunchTemplate"]["Version"], member["InstanceType"]) == ("2", "t3.small")


def test_terminate_is_taken_once(account, group):
    account.create(group, 3)
    victim = account.settled(group, 3)[0]["InstanceId"]
    request = {"InstanceId": victim, "ShouldDecrementDesiredCapacity": True}
    activity = account.autoscaling.terminate_instance_in_auto_scaling_group(**request)["Activity"]
    assert activity["Description"] == f"Terminating EC2 instance: {victim}"
    assert code(account.autoscaling.terminate_instance_in_auto_scaling_group, **request) in (
        "ScalingActivityInProgress",
        "ValidationError",
    )
    assert account.group(group)["DesiredCapacity"] == 2
    account.settled(group, 2)
    ended = account.autoscaling.describe_scaling_activities(ActivityIds=[activity["ActivityId"]])["Activities"]
    assert ended[0]["StatusCode"] == "Successful"


def test_protection_against_termination_does_not_hold_a_group_up(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    account.ec2.modify_instance_attribute(InstanceId=member, DisableApiTermination={"Value": True})
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    account.settled(group, 0)
    assert account.state_of(member) == "terminated"


def test_protected_instances_are_not_rebalanced_for_ever(account, group):
    account.create(group, 2, VPCZoneIdentifier=account.subnets[0], NewInstancesProtectedFromScaleIn=True)
    members = account.settled(group, 2)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=group, VPCZoneIdentifier=",".join(account.subnets), NewInstancesProtectedFromScaleIn=False
    )
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)
    after = account.settled(group, 4)
    assert ids(members) <= ids(after)
    assert Counter(m["AvailabilityZone"][-1] for m in after) == {"a": 2, "b": 1, "c": 1}
    assert not any("balancing" in a["Cause"] for a in account.activities(group))


def test_a_zone_that_the_group_leaves_is_emptied(account, group):
    account.create(group, 3)
    account.settled(group, 3)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=group, VPCZoneIdentifier=",".join(account.subnets[1:])
    )
    account.wait(
        "nothing is left in the zone",
        lambda: Counter(m["AvailabilityZone"][-1] for m in account.settled(group, 3)).keys() == {"b", "c"},
    )


def test_a_group_on_its_way_out_takes_no_changes(account, group):
    account.create(group, 2)
    account.settled(group, 2)
    account.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
    try:
        account.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=2, MaxSize=2)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationError"  # noqa: PT017  it may also be gone already
    account.wait(
        "it is gone",
        lambda: (
            not account.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
        ),
    )


def test_a_version_or_a_target_group_that_is_not_there_is_refused(account, group):
    template = {"LaunchTemplateId": account.template(), "Version": "99"}
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/none/0123456789abcdef"
    request = {"AutoScalingGroupName": group, "MinSize": 0, "MaxSize": 1, "VPCZoneIdentifier": account.subnets[0]}
    create = account.autoscaling.create_auto_scaling_group
    assert code(create, **request, LaunchTemplate=template) == "ValidationError"
    template["Version"] = "1"
    assert code(create, **request, LaunchTemplate=template, TargetGroupARNs=[arn]) == "ValidationError"
    account.create(group, 0)
    attach = account.autoscaling.attach_load_balancer_target_groups
    assert code(attach, AutoScalingGroupName=group, TargetGroupARNs=[arn]) == "ValidationError"


@pytest.fixture
def balanced(account, group):
    """A group behind a load balancer; yields the target group's ARN and the balancer's URL."""
    arn = account.elbv2.create_target_group(
        Name=group[-25:].strip("_-").replace("_", "-"),
        Protocol="HTTP",
        Port=8101,
        VpcId=account.vpc,
        HealthCheckPath="/healthz",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = account.elbv2.create_load_balancer(Name=f"b{os.getpid()}", Subnets=account.subnets)["LoadBalancers"][0]
    listener = account.elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=8080,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )["Listeners"][0]["ListenerArn"]
    yield arn, f"http://{balancer['DNSName']}:8080/users/alice/balance"
    account.elbv2.delete_listener(ListenerArn=listener)
    account.elbv2.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    account.wait("HAProxy ended", lambda: not Journal(account.state.journal).entries("balancer"))


def healthy(account, arn):
    health = account.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {h["Target"]["Id"] for h in health if h["TargetHealth"]["State"] == "healthy"}


def test_a_member_that_hangs_fails_its_checks_and_is_replaced(account, group, balanced):
    arn, url = balanced
    account.create(group, 2, TargetGroupARNs=[arn], HealthCheckType="ELB")
    members = ids(account.settled(group, 2))
    account.wait("both are healthy", lambda: healthy(account, arn) == members)
    victim = min(members)
    os.killpg(account.machine(victim).pid, signal.SIGSTOP)
    account.wait("the victim is gone", lambda: victim not in ids(account.members(group)))
    assert "ELB system health check failure" in next(
        a["Cause"]
        for a in account.activities(group)
        if victim in a["Description"] and "Terminating" in a["Description"]
    )
    account.wait("two are healthy", lambda: len(healthy(account, arn)) == 2)
    assert json.load(urllib.request.urlopen(url))["tocos"] == 100


def test_attached_and_detached_while_it_shrinks_a_group_still_settles(account, group, balanced):
    arn, _ = balanced
    account.create(group, 4)
    account.settled(group, 4)
    for size in (3, 2, 1):
        account.autoscaling.attach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[arn])
        account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=size)
        account.autoscaling.detach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[arn])
    left = account.settled(group, 1)
    account.autoscaling.attach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[arn])
    account.wait("the last one is healthy", lambda: healthy(account, arn) == ids(left))


def test_a_target_group_that_vanishes_holds_nobody_up_and_is_told(account, group, balanced):
    arn, _ = balanced
    account.create(group, 1)
    account.settled(group, 1)
    other = account.elbv2.create_target_group(Name="vanishes", Protocol="HTTP", Port=8101, VpcId=account.vpc)
    gone = other["TargetGroups"][0]["TargetGroupArn"]
    account.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
    account.autoscaling.attach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[gone])
    account.elbv2.delete_target_group(TargetGroupArn=gone)
    account.autoscaling.resume_processes(AutoScalingGroupName=group)
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)

    def told():
        waiting = [a for a in account.activities(group) if a["StatusCode"] == "PreInService"]
        return any("TargetGroup" in a.get("StatusMessage", "") for a in waiting)

    account.wait("the new one says what it waits for", told)
    account.autoscaling.detach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[gone])
    account.settled(group, 2)
    log = account.state.region_log.read_text()
    assert log.count("tried again") < 20
    assert arn
