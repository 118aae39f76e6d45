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
    """Two VPCs may share a range in AWS; here they share the addresses in it."""
    network = account.ec2.describe_vpcs(VpcIds=[account.vpc])["Vpcs"][0]["CidrBlock"]
    vpc = account.ec2.create_vpc(CidrBlock=network)["Vpc"]["VpcId"]
    twin = account.ec2.create_subnet(VpcId=vpc, CidrBlock=network.replace("0.0/16", "0.0/20"))["Subnet"]["SubnetId"]
    address = network.replace("0.0/16", "9.9")
    launch = {"ImageId": account.image, "MinCount": 1, "MaxCount": 1, "UserData": USER_DATA}
    first = account.ec2.run_instances(SubnetId=account.subnets[0], PrivateIpAddress=address, **launch)
    first = first["Instances"][0]["InstanceId"]
    account.wait("the first runs", lambda: account.state_of(first) == "running")
    with pytest.raises(ClientError, match=first) as caught:
        account.ec2.run_instances(SubnetId=twin, PrivateIpAddress=address, **launch)
    assert caught.value.response["Error"]["Code"] == "InvalidIPAddress.InUse"
    token = urllib.request.Request(f"http://{address}:1338/latest/api/token", method="PUT")
    token.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
    key = urllib.request.urlopen(token).read().decode()
    asked = urllib.request.Request(f"http://{address}:1338/latest/meta-data/instance-id")
    asked.add_header("X-aws-ec2-metadata-token", key)
    assert urllib.request.urlopen(asked).read().decode() == first
    account.ec2.terminate_instances(InstanceIds=[first])
    account.wait("the first ended", lambda: account.state_of(first) == "terminated")


def test_a_subnet_outside_of_the_region_is_told_in_the_activity(account, group):
    vpc = account.ec2.create_vpc(CidrBlock="192.168.77.0/24")["Vpc"]["VpcId"]
    subnet = account.ec2.create_subnet(VpcId=vpc, CidrBlock="192.168.77.0/25", AvailabilityZone="eu-central-1a")[
        "Subnet"
    ]["SubnetId"]
    account.create(group, 1, VPCZoneIdentifier=subnet)

    def told():
        return [a["StatusMessage"] for a in account.activities(group) if a["StatusCode"] == "Failed"]

    message = account.wait("the launch fails", told)[0]
    assert f"subnet {subnet}: 192.168.77.0/25 is outside this region's range" in message
    assert "give the VPC a CIDR block inside 127." in message
    assert account.members(group) == []
    subnets = [subnet, account.ec2.create_subnet(VpcId=vpc, CidrBlock="192.168.77.128/25",
                                                 AvailabilityZone="eu-central-1b")["Subnet"]["SubnetId"]]  # fmt: skip
    assert code(account.elbv2.create_load_balancer, Name="outside", Subnets=subnets) == "InvalidSubnet"


def test_a_group_launches_with_all_that_its_template_says(account, group):
    tags = [
        {"ResourceType": "instance", "Tags": [{"Key": "Team", "Value": "template"}, {"Key": "Kept", "Value": "yes"}]},
        {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "disk"}]},
        {"ResourceType": "network-interface", "Tags": [{"Key": "Name", "Value": "net"}]},
    ]
    template = account.template(
        EbsOptimized=True,
        Monitoring={"Enabled": True},
        CpuOptions={"CoreCount": 1, "ThreadsPerCore": 1},
        InstanceInitiatedShutdownBehavior="terminate",
        DisableApiTermination=True,
        DisableApiStop=True,
        Placement={"Tenancy": "dedicated"},
        NetworkInterfaces=[{"DeviceIndex": 0, "Description": "ours", "AssociatePublicIpAddress": True}],
        TagSpecifications=tags,
    )
    account.create(
        group, 1, template=template,
        Tags=[{"Key": "Team", "Value": "group", "PropagateAtLaunch": True, "ResourceId": group,
               "ResourceType": "auto-scaling-group"}],
    )  # fmt: skip
    (member,) = account.settled(group, 1)
    instance = member["InstanceId"]
    (shown,) = account.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    assert shown["EbsOptimized"]
    assert shown["Monitoring"] == {"State": "enabled"}
    assert shown["CpuOptions"] == {"CoreCount": 1, "ThreadsPerCore": 1}
    assert shown["Placement"]["Tenancy"] == "dedicated"
    assert shown["SubnetId"] in account.subnets
    (interface,) = shown["NetworkInterfaces"]
    assert interface["Description"] == "ours"
    assert shown["PublicIpAddress"] == shown["PrivateIpAddress"]
    assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == {
        "Team": "group",
        "Kept": "yes",
        "aws:autoscaling:groupName": group,
        "aws:ec2launchtemplate:id": template,
        "aws:ec2launchtemplate:version": "1",
    }
    of = [{"Name": "attachment.instance-id", "Values": [instance]}]
    (volume,) = account.ec2.describe_volumes(Filters=of)["Volumes"]
    (found,) = account.ec2.describe_network_interfaces(Filters=of)["NetworkInterfaces"]
    assert (volume["Tags"], found["TagSet"]) == (tags[1]["Tags"], tags[2]["Tags"])
    # A group's own termination asks for no protection.
    assert code(account.ec2.terminate_instances, InstanceIds=[instance]) == "OperationNotPermitted"
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    account.settled(group, 0)
    assert account.state_of(instance) == "terminated"


def test_a_protected_group_is_not_deleted(account, group):
    account.create(group, 1, DeletionProtection="prevent-all-deletion")
    account.settled(group, 1)
    delete = account.autoscaling.delete_auto_scaling_group
    assert account.group(group)["DeletionProtection"] == "prevent-all-deletion"
    for force in (True, False):
        assert code(delete, AutoScalingGroupName=group, ForceDelete=force) == "ValidationError"
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    account.settled(group, 0)
    assert code(delete, AutoScalingGroupName=group) == "ValidationError"
    update = account.autoscaling.update_auto_scaling_group
    assert code(update, AutoScalingGroupName=group, DeletionProtection="perhaps") == "ValidationError"
    update(AutoScalingGroupName=group, DeletionProtection="prevent-force-deletion")
    assert code(delete, AutoScalingGroupName=group, ForceDelete=True) == "ValidationError"
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    account.settled(group, 1)
    assert code(delete, AutoScalingGroupName=group) == "ResourceInUse"
    update(AutoScalingGroupName=group, DeletionProtection="none")
    delete(AutoScalingGroupName=group, ForceDelete=True)


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
