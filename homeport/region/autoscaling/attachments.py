"""The API's operations on what hangs on a group: target groups and group metrics."""

from collections.abc import Sequence
from typing import Any

from homeport.region.autoscaling.checks import check_target_groups
from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.service import Service, validation

Params = dict[str, Any]


def attach_load_balancer_target_groups(service: Service, params: Params) -> Params:
    """AttachLoadBalancerTargetGroups: the controller registers the instances."""
    return _change(service, params, add=params["TargetGroupARNs"])


def detach_load_balancer_target_groups(service: Service, params: Params) -> Params:
    """DetachLoadBalancerTargetGroups: the controller deregisters the instances."""
    return _change(service, params, remove=params["TargetGroupARNs"])


def attach_traffic_sources(service: Service, params: Params) -> Params:
    """AttachTrafficSources, for sources of type elbv2."""
    return _change(service, params, add=_target_groups(params))


def detach_traffic_sources(service: Service, params: Params) -> Params:
    """DetachTrafficSources, for sources of type elbv2."""
    return _change(service, params, remove=_target_groups(params))


def describe_load_balancer_target_groups(service: Service, params: Params) -> Params:
    """DescribeLoadBalancerTargetGroups."""
    with service.lock:
        group = service.group(params["AutoScalingGroupName"])
        return {
            "LoadBalancerTargetGroups": [
                {"LoadBalancerTargetGroupARN": arn, "State": _state(group, arn)} for arn in group.target_groups
            ]
        }


def describe_traffic_sources(service: Service, params: Params) -> Params:
    """DescribeTrafficSources."""
    with service.lock:
        group = service.group(params["AutoScalingGroupName"])
        return {
            "TrafficSources": [
                {"Identifier": arn, "TrafficSource": arn, "Type": "elbv2", "State": _state(group, arn)}
                for arn in group.target_groups
            ]
        }


def enable_metrics_collection(service: Service, params: Params) -> Params:
    """EnableMetricsCollection."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        group.enabled_metrics = sorted({*group.enabled_metrics, *(params.get("Metrics") or METRICS)})
    return {}


def disable_metrics_collection(service: Service, params: Params) -> Params:
    """DisableMetricsCollection."""
    with service.lock:
        group = service.group(params["AutoScalingGroupName"])
        group.enabled_metrics = sorted({*group.enabled_metrics} - {*(params.get("Metrics") or METRICS)})
    return {}


METRICS = (
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
)


def _change(service: Service, params: Params, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Params:
    check_target_groups(service, list(add))
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        kept = [arn for arn in group.target_groups if arn not in remove]
        group.settings["TargetGroupARNs"] = kept + [arn for arn in add if arn not in kept]
    service.wake()
    return {}


def _target_groups(params: Params) -> list[str]:
    sources = params["TrafficSources"]
    if any(source.get("Type", "elbv2") != "elbv2" for source in sources):
        raise validation("The region knows traffic sources of type elbv2 only")
    return [source["Identifier"] for source in sources]


def _state(group: Group, arn: str) -> str:
    if all(arn in i.target_groups and arn not in i.unconfirmed for i in group.live()):
        return "InService"
    return "Adding"
