"""The API's operations on groups. Parameters and answers have the API's own names and shapes."""

from typing import Any

from homeport.region.autoscaling import instances, protection, tags
from homeport.region.autoscaling.checks import (
    DEFAULTS,
    NOT_SETTINGS,
    adopt_traffic_sources,
    check_sizes,
    check_target_groups,
    check_template,
    find_subnets,
    refuse_unsupported,
)
from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.service import Service
from homeport.region.from_moto.autoscaling import AutoscalingClientError

Params = dict[str, Any]


def create_auto_scaling_group(service: Service, params: Params) -> Params:
    """CreateAutoScalingGroup."""
    name = params["AutoScalingGroupName"]
    refuse_unsupported(params)
    settings = DEFAULTS | {key: value for key, value in params.items() if key not in NOT_SETTINGS}
    settings.setdefault("DesiredCapacity", settings["MinSize"])
    adopt_traffic_sources(settings)
    check_sizes(settings)
    protection.check_level(settings)
    template = check_template(service, settings.get("LaunchTemplate"))
    subnets = find_subnets(service, settings)
    check_target_groups(service, settings["TargetGroupARNs"])
    with service.lock:
        if name in service.model.groups:
            raise AutoscalingClientError(
                "AlreadyExists", f"AutoScalingGroup by this name already exists - A group with the name {name} exists"
            )
        settings["LaunchTemplate"] = template
        group = Group(
            name=name,
            arn=service.arn("autoScalingGroup", f"autoScalingGroupName/{name}"),
            created=service.clock.now(),
            settings=settings,
            subnets=subnets,
        )
        service.model.groups[name] = group
        tags.set_tags(group, params.get("Tags", []))
    service.wake()
    return {}


def update_auto_scaling_group(service: Service, params: Params) -> Params:
    """UpdateAutoScalingGroup: fields that are not given stay; a new size limit moves the desired capacity."""
    refuse_unsupported(params)
    changes = {key: value for key, value in params.items() if key not in NOT_SETTINGS}
    if "LaunchTemplate" in changes:
        changes["LaunchTemplate"] = check_template(service, changes["LaunchTemplate"])
    check_target_groups(service, changes.get("TargetGroupARNs", []))
    subnets = find_subnets(service, changes) if changes.keys() & {"VPCZoneIdentifier", "AvailabilityZones"} else None
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        settings = group.settings | changes
        if "DesiredCapacity" not in changes:
            settings["DesiredCapacity"] = min(max(group.desired, settings["MinSize"]), settings["MaxSize"])
        check_sizes(settings)
        protection.check_level(settings)
        group.settings = settings
        if subnets is not None:
            group.subnets = subnets
    service.wake()
    return {}


def delete_auto_scaling_group(service: Service, params: Params) -> Params:
    """DeleteAutoScalingGroup: with ForceDelete its instances are terminated without a drain."""
    with service.lock:
        group = service.group(params["AutoScalingGroupName"])
        protection.check_deletion(group, force=bool(params.get("ForceDelete")))
        if (group.instances or group.launches) and not params.get("ForceDelete"):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
                "still in the group.",
            )
        group.deleting = True
        group.settings |= {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
        if not group.instances and not group.launches:
            service.model.forget(group)
    service.wake()
    return {}


def describe_auto_scaling_groups(service: Service, params: Params) -> Params:
    """DescribeAutoScalingGroups, by names and tag filters."""
    with service.lock:
        names = params.get("AutoScalingGroupNames")
        groups = [g for g in service.model.groups.values() if names is None or g.name in names]
        groups = [g for g in groups if tags.match(g, params.get("Filters", []))]
        return {"AutoScalingGroups": [_describe(group) for group in groups]}


def set_desired_capacity(service: Service, params: Params) -> Params:
    """SetDesiredCapacity; HonorCooldown concerns simple scaling only and is accepted."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        settings = group.settings | {"DesiredCapacity": params["DesiredCapacity"]}
        check_sizes(settings)
        group.settings = settings
    service.wake()
    return {}


def _describe(group: Group) -> Params:
    return (
        group.settings
        | {
            "AutoScalingGroupName": group.name,
            "AutoScalingGroupARN": group.arn,
            "AvailabilityZones": group.zones,
            "CreatedTime": group.created,
            "Instances": [instances.describe(i) for i in group.instances.values()],
            "SuspendedProcesses": [
                {"ProcessName": process, "SuspensionReason": reason} for process, reason in group.suspended.items()
            ],
            "EnabledMetrics": [{"Metric": m, "Granularity": "1Minute"} for m in group.enabled_metrics],
            "Tags": tags.describe(group),
            "TrafficSources": [{"Identifier": arn, "Type": "elbv2"} for arn in group.target_groups],
            "ServiceLinkedRoleARN": service_role(group),
        }
        | ({"Status": "Delete in progress"} if group.deleting else {})
    )


def service_role(group: Group) -> str:
    """Return the ARN of the role by which Auto Scaling acts for a group."""
    account = group.arn.split(":")[4]
    usual = f"arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    return str(group.settings.get("ServiceLinkedRoleARN", usual))
