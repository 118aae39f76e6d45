"""The API's operations on groups. Parameters and answers have the API's own names and shapes."""

from typing import Any

from botocore.exceptions import ClientError
from moto.autoscaling.exceptions import AutoscalingClientError

from homeport.region.autoscaling import instances, tags
from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.service import Service, validation

Params = dict[str, Any]

DEFAULTS: dict[str, Any] = {
    "DefaultCooldown": 300,
    "HealthCheckType": "EC2",
    "HealthCheckGracePeriod": 0,
    "TerminationPolicies": ["Default"],
    "NewInstancesProtectedFromScaleIn": False,
    "CapacityRebalance": False,
    "TargetGroupARNs": [],
    "LoadBalancerNames": [],
}
"""What AWS fills in for the fields of CreateAutoScalingGroup."""

NOT_SETTINGS = frozenset({"AutoScalingGroupName", "Tags", "LifecycleHookSpecificationList", "InstanceId"})
UNSUPPORTED = {
    "LaunchConfigurationName": "launch from a launch template",
    "MixedInstancesPolicy": "launch from one launch template",
    "InstanceId": "launch from a launch template",
    "LifecycleHookSpecificationList": "lifecycle hooks are not there yet",
    "LoadBalancerNames": "register with target groups (TargetGroupARNs)",
}


def create_auto_scaling_group(service: Service, params: Params) -> Params:
    """CreateAutoScalingGroup."""
    name = params["AutoScalingGroupName"]
    _refuse_unsupported(params)
    settings = DEFAULTS | {key: value for key, value in params.items() if key not in NOT_SETTINGS}
    settings.setdefault("DesiredCapacity", settings["MinSize"])
    _adopt_traffic_sources(settings)
    _check_sizes(settings)
    template = _check_template(service, settings.get("LaunchTemplate"))
    subnets = _subnets(service, settings)
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
    _refuse_unsupported(params)
    changes = {key: value for key, value in params.items() if key not in NOT_SETTINGS}
    if "LaunchTemplate" in changes:
        changes["LaunchTemplate"] = _check_template(service, changes["LaunchTemplate"])
    check_target_groups(service, changes.get("TargetGroupARNs", []))
    subnets = _subnets(service, changes) if changes.keys() & {"VPCZoneIdentifier", "AvailabilityZones"} else None
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        settings = group.settings | changes
        if "DesiredCapacity" not in changes:
            settings["DesiredCapacity"] = min(max(group.desired, settings["MinSize"]), settings["MaxSize"])
        _check_sizes(settings)
        group.settings = settings
        if subnets is not None:
            group.subnets = subnets
    service.wake()
    return {}


def delete_auto_scaling_group(service: Service, params: Params) -> Params:
    """DeleteAutoScalingGroup: with ForceDelete its instances are terminated without a drain."""
    with service.lock:
        group = service.group(params["AutoScalingGroupName"])
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
        _check_sizes(settings)
        group.settings = settings
    service.wake()
    return {}


def suspend_processes(service: Service, params: Params) -> Params:
    """SuspendProcesses: all of them when none is named."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        for process in params.get("ScalingProcesses") or PROCESSES:
            if process not in PROCESSES:
                raise validation(f"'{process}' is not a valid scaling process; one of {', '.join(PROCESSES)}")
            group.suspended[process] = f"User suspended at {service.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    return {}


def resume_processes(service: Service, params: Params) -> Params:
    """ResumeProcesses: all of them when none is named."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        for process in params.get("ScalingProcesses") or PROCESSES:
            group.suspended.pop(process, None)
    service.wake()
    return {}


PROCESSES = (
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
)


def _refuse_unsupported(params: Params) -> None:
    for field, instead in UNSUPPORTED.items():
        if params.get(field):
            raise validation(f"{field} is not supported by this region: {instead}")


def _check_sizes(settings: Params) -> None:
    minimum, maximum, desired = settings["MinSize"], settings["MaxSize"], settings["DesiredCapacity"]
    if minimum < 0 or minimum > maximum:
        raise validation(f"Min size {minimum} must be at least 0 and at most max size {maximum}")
    if not minimum <= desired <= maximum:
        raise validation(f"Desired capacity:{desired} must be between the specified min size and max size")


def _check_template(service: Service, template: Params | None) -> Params:
    if not template:
        raise validation("Valid requests must contain a LaunchTemplate")
    by = "LaunchTemplateId" if template.get("LaunchTemplateId") else "LaunchTemplateName"
    version = template.get("Version", "$Default")
    try:
        found = service.ec2.describe_launch_template_versions(**{by: template[by], "Versions": [version]})
        newest = found["LaunchTemplateVersions"][0]
    except (ClientError, IndexError) as error:
        raise validation(f"The launch template {template[by]} has no version {version}, or does not exist") from error
    return {
        "LaunchTemplateId": newest["LaunchTemplateId"],
        "LaunchTemplateName": newest["LaunchTemplateName"],
        "Version": version,
    }


def check_target_groups(service: Service, arns: list[str]) -> None:
    """Answer AWS's ``ValidationError`` unless all target groups exist."""
    try:
        if arns:
            service.elbv2.describe_target_groups(TargetGroupArns=arns)
    except ClientError as error:
        raise validation("Provided Target Groups may not be valid. Please ensure they exist and try again.") from error


def _subnets(service: Service, settings: Params) -> dict[str, list[str]]:
    identifiers = [s.strip() for s in settings.get("VPCZoneIdentifier", "").split(",") if s.strip()]
    if not identifiers:
        raise validation("VPCZoneIdentifier must name at least one subnet")
    try:
        subnets = service.ec2.describe_subnets(SubnetIds=identifiers)["Subnets"]
    except ClientError as error:
        raise validation(f"The subnet ID list '{settings['VPCZoneIdentifier']}' is not valid: {error}") from error
    by_zone: dict[str, list[str]] = {}
    for subnet in sorted(subnets, key=lambda found: found["AvailabilityZone"]):
        by_zone.setdefault(subnet["AvailabilityZone"], []).append(subnet["SubnetId"])
    return by_zone


def _adopt_traffic_sources(settings: Params) -> None:
    for source in settings.pop("TrafficSources", []):
        if source.get("Type", "elbv2") == "elbv2":
            settings["TargetGroupARNs"] = [*settings["TargetGroupARNs"], source["Identifier"]]


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
