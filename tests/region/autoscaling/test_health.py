"""What is called unhealthy stays so, as on AWS: only a replacement or a user ends it."""


def health_of(account, group):
    (member,) = account.members(group)
    return member["InstanceId"], member["HealthStatus"]


def test_what_turned_unhealthy_while_replacement_was_suspended_is_replaced_once_it_is_resumed(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    account.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["ReplaceUnhealthy"])
    account.ec2.stop_instances(InstanceIds=[member])
    account.wait("it is unhealthy", lambda: health_of(account, group) == (member, "Unhealthy"))
    account.wait("it stopped", lambda: account.state_of(member) == "stopped")
    account.ec2.start_instances(InstanceIds=[member])
    account.wait("it runs again", lambda: account.state_of(member) == "running")
    assert health_of(account, group) == (member, "Unhealthy")
    account.autoscaling.resume_processes(AutoScalingGroupName=group)
    account.wait("it is gone", lambda: member not in {m["InstanceId"] for m in account.members(group)})
    account.settled(group, 1)


def test_a_user_calls_it_healthy_again(account, group):
    account.create(group, 1)
    member = account.settled(group, 1)[0]["InstanceId"]
    account.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["ReplaceUnhealthy"])
    account.autoscaling.set_instance_health(InstanceId=member, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    assert health_of(account, group) == (member, "Unhealthy")
    account.autoscaling.set_instance_health(InstanceId=member, HealthStatus="Healthy")
    account.autoscaling.resume_processes(AutoScalingGroupName=group)
    account.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
    assert member in {m["InstanceId"] for m in account.settled(group, 2)}


def test_processes_are_suspended_all_or_none(account, group):
    account.create(group, 0)
    try:
        account.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch", "Nothing"])
    except account.autoscaling.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationError"  # noqa: PT017
    assert account.group(group)["SuspendedProcesses"] == []
