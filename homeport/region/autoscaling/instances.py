"""The API's operations on a group's instances and its activities."""

from typing import Any

from homeport.region.autoscaling.lifecycle import termination_of
from homeport.region.autoscaling.model import Activity, Instance
from homeport.region.autoscaling.plan.changes import BeginTermination
from homeport.region.autoscaling.service import Service, validation
from homeport.region.from_moto.autoscaling import AutoscalingClientError as ServiceError

Params = dict[str, Any]


def describe(instance: Instance) -> Params:
    """Return an instance as DescribeAutoScalingGroups lists it."""
    shape: Params = {
        "InstanceId": instance.instance_id,
        "InstanceType": instance.instance_type,
        "AvailabilityZone": instance.zone,
        "LifecycleState": instance.lifecycle,
        "HealthStatus": instance.health_status,
        "ProtectedFromScaleIn": instance.protected,
    }
    if instance.launch_template:
        shape["LaunchTemplate"] = {
            "LaunchTemplateId": instance.launch_template.template_id,
            "LaunchTemplateName": instance.launch_template.name,
            "Version": instance.launch_template.version,
        }
    return shape


def describe_auto_scaling_instances(service: Service, params: Params) -> Params:
    """DescribeAutoScalingInstances."""
    wanted = params.get("InstanceIds")
    with service.lock:
        return {
            "AutoScalingInstances": [
                describe(instance) | {"AutoScalingGroupName": group.name}
                for group in service.model.groups.values()
                for instance in group.instances.values()
                if wanted is None or instance.instance_id in wanted
            ]
        }


def describe_scaling_activities(service: Service, params: Params) -> Params:
    """DescribeScalingActivities, newest first, in pages of at most 100."""
    wanted, name = params.get("ActivityIds"), params.get("AutoScalingGroupName")
    size = min(params.get("MaxRecords", 100), 100)
    with service.lock:
        groups = [service.group(name)] if name else list(service.model.groups.values())
        found = [a for g in groups for a in g.activities if not wanted or a.activity_id in wanted]
    found.sort(key=lambda activity: activity.start_time, reverse=True)
    start = _page_start(params.get("NextToken", ""))
    answer: Params = {"Activities": [_describe_activity(a) for a in found[start : start + size]]}
    if len(found) > start + size:
        answer["NextToken"] = str(start + size)
    return answer


def terminate_instance_in_auto_scaling_group(service: Service, params: Params) -> Params:
    """TerminateInstanceInAutoScalingGroup: the group drains it; its place stays unless it is decremented."""
    with service.lock:
        group = service.group_of(params["InstanceId"])
        instance = group.instances[params["InstanceId"]]
        if not termination_of(instance.lifecycle):
            raise ServiceError("ScalingActivityInProgress", f"{instance.instance_id} is being terminated already")
        if params["ShouldDecrementDesiredCapacity"]:
            if group.desired - 1 < group.minimum:
                raise validation("Currently, desiredSize equals minSize; terminating the instance would go below it")
            group.settings["DesiredCapacity"] = group.desired - 1
        service.apply(group, BeginTermination(instance.instance_id, "a user request"))
        service.wake()
        return {"Activity": _describe_activity(group.activities[0])}


def set_instance_health(service: Service, params: Params) -> Params:
    """SetInstanceHealth, which respects the grace period unless told otherwise."""
    if params["HealthStatus"] not in ("Healthy", "Unhealthy"):
        raise validation("HealthStatus must be Healthy or Unhealthy")
    with service.lock:
        group = service.group_of(params["InstanceId"])
        instance = group.instances[params["InstanceId"]]
        in_grace = instance.in_service_at is not None and (
            service.clock.now() - instance.in_service_at
        ).total_seconds() < service.clock.real(group.grace)
        if params["HealthStatus"] == "Healthy" or not (params.get("ShouldRespectGracePeriod", True) and in_grace):
            instance.health_status = params["HealthStatus"]
            instance.unhealthy_because = "a user health-check" if instance.health_status == "Unhealthy" else ""
    service.wake()
    return {}


def set_instance_protection(service: Service, params: Params) -> Params:
    """SetInstanceProtection."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        for instance_id in params["InstanceIds"]:
            if instance_id not in group.instances:
                raise validation(f"The instance {instance_id} is not part of Auto Scaling group {group.name}.")
        for instance_id in params["InstanceIds"]:
            group.instances[instance_id].protected = params["ProtectedFromScaleIn"]
    service.wake()
    return {}


def _page_start(token: str) -> int:
    if token and not token.isdigit():
        raise validation("The NextToken value is not valid")
    return int(token or 0)


def _describe_activity(activity: Activity) -> Params:
    shape: Params = {
        "ActivityId": activity.activity_id,
        "AutoScalingGroupName": activity.group_name,
        "AutoScalingGroupARN": activity.group_arn,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.start_time,
        "StatusCode": activity.status_code,
        "Progress": activity.progress,
        "Details": activity.details,
    }
    if activity.end_time:
        shape["EndTime"] = activity.end_time
    if activity.status_message:
        shape["StatusMessage"] = activity.status_message
    return shape
