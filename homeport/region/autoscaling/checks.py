"""What may be said of a group: defaults, and what is checked before a group takes it."""

from typing import Any

from botocore.exceptions import ClientError

from homeport.region.autoscaling.service import Service, validation

Params = dict[str, Any]

DEFAULTS: dict[str, Any] = {
    "DefaultCooldown": 300,
    "HealthCheckType": "EC2",
    "HealthCheckGracePeriod": 0,
    "TerminationPolicies": ["Default"],
    "NewInstancesProtectedFromScaleIn": False,
    "CapacityRebalance": False,
    "DeletionProtection": "none",
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


def refuse_unsupported(params: Params) -> None:
    """Answer AWS's ``ValidationError`` to what this region does not do, by name."""
    for field, instead in UNSUPPORTED.items():
        if params.get(field):
            raise validation(f"{field} is not supported by this region: {instead}")


def check_sizes(settings: Params) -> None:
    """Answer AWS's ``ValidationError`` unless minimum, desired capacity and maximum fit each other."""
    minimum, maximum, desired = settings["MinSize"], settings["MaxSize"], settings["DesiredCapacity"]
    if minimum < 0 or minimum > maximum:
        raise validation(f"Min size {minimum} must be at least 0 and at most max size {maximum}")
    if not minimum <= desired <= maximum:
        raise validation(f"Desired capacity:{desired} must be between the specified min size and max size")


def check_template(service: Service, template: Params | None) -> Params:
    """Return a launch template by its id, its name and the version as asked, or answer ``ValidationError``."""
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


def find_subnets(service: Service, settings: Params) -> dict[str, list[str]]:
    """Return the subnets of a group by zone, or answer AWS's ``ValidationError``."""
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


def adopt_traffic_sources(settings: Params) -> None:
    """Turn traffic sources of type elbv2 into target groups."""
    for source in settings.pop("TrafficSources", []):
        if source.get("Type", "elbv2") == "elbv2":
            settings["TargetGroupARNs"] = [*settings["TargetGroupARNs"], source["Identifier"]]
