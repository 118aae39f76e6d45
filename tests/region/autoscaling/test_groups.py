import json
import os
import signal
import threading
from collections import Counter
from datetime import UTC

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from homeport.region import access
from homeport.region.autoscaling.model import AutoScaling, Group, Instance

from .conftest import SPEED, USER_DATA


def ids(members):
    return {m["InstanceId"] for m in members}


def zones(members):
    return Counter(m["AvailabilityZone"] for m in members)


def refused(call, code, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def test_a_group_spreads_over_its_zones_and_tells_how(account, group):
    account.create(group, 5)
    members = account.settled(group, 5)
    assert sorted(zones(members).values()) == [1, 2, 2]
    for activity in account.activities(group):
        assert activity["StatusCode"] == "Successful"
        assert activity["Progress"] == 100
        assert "increasing the capacity from 0 to 5" in activity["Cause"]
        assert json.loads(activity["Details"])["Availability Zone"].startswith("eu-central-1")
    assert all(account.machine(i).running for i in ids(members))


def test_scale_in_takes_from_the_fullest_zone_and_spares_the_protected(account, group):
    account.create(group, 5)
    members = account.settled(group, 5)
    full = [m for m in members if zones(members)[m["AvailabilityZone"]] == 2]
    kept = full[0]
    account.autoscaling.set_instance_protection(
        AutoScalingGroupName=group, InstanceIds=[kept["InstanceId"]], ProtectedFromScaleIn=True
    )
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    left = account.settled(group, 3)
    assert zones(left) == Counter({f"eu-central-1{z}": 1 for z in "abc"})
    assert kept["InstanceId"] in ids(left)
    gone = ids(members) - ids(left)
    assert all(account.state_of(i) == "terminated" for i in gone)
    assert all(account.machine(i) is None for i in gone)
    assert "shrinking the capacity from 5 to 3" in account.activities(group)[0]["Cause"]


def test_a_group_of_protected_instances_does_not_shrink(account, group):
    account.create(group, 2, NewInstancesProtectedFromScaleIn=True)
    members = account.settled(group, 2)
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    account.create(other := f"{group}-2", 1)
    account.settled(other, 1)
    account.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=other, ForceDelete=True)
    assert ids(account.members(group)) == ids(members)


def test_a_machine_that_dies_is_replaced_in_its_zone(account, group):
    account.create(group, 3)
    members = account.settled(group, 3)
    victim = members[0]
    os.killpg(account.machine(victim["InstanceId"]).pid, signal.SIGKILL)
    account.wait("the victim is gone", lambda: victim["InstanceId"] not in ids(account.members(group)))
    after = account.settled(group, 3)
    assert zones(after) == zones(members)
    why = next(a["Cause"] for a in account.activities(group) if victim["InstanceId"] in a["Description"])
    assert "EC2 health check indicating it has been terminated or stopped" in why
    assert "signal 9" in why


def test_terminating_a_member_through_ec2_is_answered_by_a_new_one(account, group):
    account.create(group, 2)
    victim = account.settled(group, 2)[0]["InstanceId"]
    answer = account.ec2.terminate_instances(InstanceIds=[victim])["TerminatingInstances"][0]
    assert answer["CurrentState"]["Name"] == "shutting-down"
    assert answer["PreviousState"]["Name"] == "running"
    account.wait("the victim is gone", lambda: victim not in ids(account.members(group)))
    assert victim not in ids(account.settled(group, 2))


def test_an_instance_that_a_user_calls_unhealthy_is_replaced(account, group):
    account.create(group, 2)
    victim = account.settled(group, 2)[0]["InstanceId"]
    account.autoscaling.set_instance_health(InstanceId=victim, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    account.wait("the victim is gone", lambda: victim not in ids(account.members(group)))
    account.settled(group, 2)
    assert any("in response to a user health-check" in a["Cause"] for a in account.activities(group))


def test_the_grace_period_is_respected_when_asked(account, group):
    account.create(group, 1, HealthCheckGracePeriod=7200)
    member = account.settled(group, 1)[0]["InstanceId"]
    account.autoscaling.set_instance_health(InstanceId=member, HealthStatus="Unhealthy")
    assert account.members(group)[0]["HealthStatus"] == "Healthy"


def test_a_suspended_launch_waits_until_it_is_resumed(account, group):
    account.create(group, 2)
    victim = account.settled(group, 2)[0]["InstanceId"]
    account.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
    account.ec2.terminate_instances(InstanceIds=[victim])
    account.settled(group, 1)
    launches = len(account.activities(group))
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    assert [p["ProcessName"] for p in account.group(group)["SuspendedProcesses"]] == ["Launch"]
    assert len(account.activities(group)) == launches
    account.autoscaling.resume_processes(AutoScalingGroupName=group)
    account.settled(group, 3)


def test_terminate_with_decrement_shrinks_and_the_group_evens_out(account, group):
    account.create(group, 6)
    members = account.settled(group, 6)
    same_zone = [m["InstanceId"] for m in members if m["AvailabilityZone"] == "eu-central-1a"]
    for victim in same_zone:
        account.autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=victim, ShouldDecrementDesiredCapacity=True
        )

    def even():
        now = account.members(group)
        return (
            account.group(group)["DesiredCapacity"] == 4
            and len(now) == 4
            and max(zones(now).values()) < 3
            and len(zones(now)) == 3
        )

    account.wait("the group is even again", even)
    account.settled(group, 4)
    assert any("balancing" in a["Cause"] for a in account.activities(group))


def test_an_image_that_is_not_there_fails_with_a_reason_and_backs_off(account, group):
    template = account.template(ImageId="ami-0123456789abcdef0")
    account.create(group, 1, template=template)

    def failures():
        failed = [a for a in account.activities(group) if a["StatusCode"] == "Failed"]
        return failed if len(failed) >= 4 else None

    failed = account.wait("four failed launches", failures)
    assert "ami-0123456789abcdef0" in failed[0]["StatusMessage"]
    # AWS's 5, 10 and 20 seconds lie between the four, at least.
    assert (failed[0]["StartTime"] - failed[3]["StartTime"]).total_seconds() >= 35 / SPEED
    account.ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"ImageId": account.image}
    )
    account.settled(group, 1)


def test_user_data_that_means_nothing_fails_the_launch_and_says_so(account, group):
    account.create(group, 1, template=account.template(UserData="I2Nsb3VkLWNvbmZpZwp3cml0ZV9maWxlczogMwo="))
    failed = account.wait(
        "a failed launch", lambda: next((a for a in account.activities(group) if a["StatusCode"] == "Failed"), None)
    )
    assert "write_files" in failed["StatusMessage"] or "user-data" in failed["StatusMessage"]


def test_every_known_field_is_given_back(account, group):
    fields = {
        "DefaultCooldown": 123,
        "DefaultInstanceWarmup": 45,
        "MaxInstanceLifetime": 86400,
        "HealthCheckType": "ELB",
        "HealthCheckGracePeriod": 67,
        "TerminationPolicies": ["OldestInstance", "Default"],
        "NewInstancesProtectedFromScaleIn": True,
        "CapacityRebalance": True,
        "InstanceMaintenancePolicy": {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 120},
        "DesiredCapacityType": "units",
        "Context": "a context",
    }
    account.create(group, 0, Tags=[{"Key": "a", "Value": "b", "PropagateAtLaunch": True}], **fields)
    found = account.group(group)
    assert {key: found[key] for key in fields} == fields
    assert found["Tags"][0] | {"ResourceId": group} == found["Tags"][0]
    assert found["AvailabilityZones"] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]


def test_tags_reach_instances(account, group):
    account.create(
        group,
        1,
        Tags=[
            {"Key": "team", "Value": "blue", "PropagateAtLaunch": True},
            {"Key": "hidden", "Value": "x", "PropagateAtLaunch": False},
        ],
    )
    member = account.settled(group, 1)[0]
    (found,) = account.ec2.describe_instances(InstanceIds=[member["InstanceId"]])["Reservations"][0]["Instances"]
    tags = {t["Key"]: t["Value"] for t in found["Tags"]}
    assert tags["team"] == "blue"
    assert "hidden" not in tags
    assert tags["aws:autoscaling:groupName"] == group


def test_update_moves_the_desired_capacity_into_the_new_limits(account, group):
    account.create(group, 1)
    account.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=3)
    assert account.group(group)["DesiredCapacity"] == 3
    account.settled(group, 3)
    account.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=0, MaxSize=1)
    assert account.group(group)["DesiredCapacity"] == 1
    account.settled(group, 1)


def test_bad_requests_are_answered_as_aws_does_and_change_nothing(account, group):
    account.create(group, 1)
    account.settled(group, 1)
    api = account.autoscaling
    refused(
        api.create_auto_scaling_group,
        "AlreadyExists",
        AutoScalingGroupName=group,
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": account.template()},
        VPCZoneIdentifier=account.subnets[0],
    )
    refused(api.update_auto_scaling_group, "ValidationError", AutoScalingGroupName=group, MinSize=5, MaxSize=4)
    refused(api.set_desired_capacity, "ValidationError", AutoScalingGroupName=group, DesiredCapacity=99)
    refused(api.delete_auto_scaling_group, "ResourceInUse", AutoScalingGroupName=group)
    refused(api.delete_auto_scaling_group, "ValidationError", AutoScalingGroupName="nobody")
    refused(api.set_instance_health, "ValidationError", InstanceId="i-0", HealthStatus="Unhealthy")
    refused(api.suspend_processes, "ValidationError", AutoScalingGroupName=group, ScalingProcesses=["Nothing"])
    refused(
        api.create_auto_scaling_group,
        "ValidationError",
        AutoScalingGroupName="x",
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": "lt-0"},
        VPCZoneIdentifier=account.subnets[0],
    )
    refused(
        api.create_auto_scaling_group,
        "ValidationError",
        AutoScalingGroupName="x",
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": account.template()},
        VPCZoneIdentifier="subnet-0",
    )
    refused(api.start_instance_refresh, "InvalidAction", AutoScalingGroupName=group)
    assert account.group(group)["MinSize"] == 0
    assert len(account.settled(group, 1)) == 1


def test_an_instance_outside_a_group_stops_starts_and_ends(account):
    (instance,) = account.ec2.run_instances(
        ImageId=account.image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=account.subnets[0],
        UserData=USER_DATA,
        ClientToken="once",
    )["Instances"]
    name = instance["InstanceId"]
    account.wait("it runs", lambda: account.state_of(name) == "running")
    again = account.ec2.run_instances(
        ImageId=account.image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=account.subnets[0],
        ClientToken="once",
    )["Instances"]
    assert [i["InstanceId"] for i in again] == [name]
    first = account.machine(name).pid
    account.ec2.stop_instances(InstanceIds=[name])
    account.wait("it stopped", lambda: account.state_of(name) == "stopped")
    assert account.machine(name) is None
    account.ec2.start_instances(InstanceIds=[name])
    account.wait("it runs again", lambda: account.state_of(name) == "running")
    assert account.machine(name).pid != first
    account.ec2.terminate_instances(InstanceIds=[name])
    account.wait("it ended", lambda: account.state_of(name) == "terminated")
    assert account.machine(name) is None
    left = account.ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [name]}])
    assert left["NetworkInterfaces"] == []


def test_threads_of_users_do_not_break_a_group(account, group):
    account.create(group, 2)
    faults = []

    def hammer(seed):
        api = access.client(
            "autoscaling", access.settings(access.running(account.state), access.read_keys(account.state))
        )
        try:
            for step in range(15):
                api.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=(seed + step) % 5)
                members = account.members(group)
                if members and step % 5 == 0:
                    account.ec2.terminate_instances(InstanceIds=[members[0]["InstanceId"]])
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    account.settled(group, 3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.builds(
            Group,
            name=st.text(),
            arn=st.text(),
            created=st.datetimes(timezones=st.just(UTC)),
            settings=st.dictionaries(st.text(), json_values),
            subnets=st.dictionaries(st.text(), st.lists(st.text())),
            instances=st.dictionaries(
                st.text(),
                st.builds(
                    Instance,
                    instance_id=st.text(),
                    zone=st.text(),
                    instance_type=st.text(),
                    launch_template=st.none(),
                    activity_id=st.text(),
                    launched_at=st.datetimes(timezones=st.just(UTC)),
                    in_service_at=st.none() | st.datetimes(timezones=st.just(UTC)),
                ),
            ),
        ),
        max_size=3,
    )
)
def test_what_is_saved_is_what_is_loaded(groups):
    model = AutoScaling(groups=groups)
    assert AutoScaling.load(model.dump()) == model
