"""Scaling policies, kept and given back whole; nothing evaluates them yet."""

from typing import Any

from homeport.region.autoscaling.model import Policy
from homeport.region.autoscaling.service import Service

Params = dict[str, Any]


def put_scaling_policy(service: Service, params: Params) -> Params:
    """PutScalingPolicy."""
    with service.lock:
        group = service.group(params["AutoScalingGroupName"])
        name = params["PolicyName"]
        settings: Params = {"PolicyType": "SimpleScaling", "Enabled": True} | params
        if settings["PolicyType"] == "TargetTrackingScaling":
            settings["TargetTrackingConfiguration"].setdefault("DisableScaleIn", False)
        old = next((p for p in service.model.policies.values() if (p.group_name, p.name) == (group.name, name)), None)
        arn = old.arn if old else service.arn("scalingPolicy", f"autoScalingGroupName/{group.name}:policyName/{name}")
        service.model.policies[arn] = Policy(arn=arn, group_name=group.name, name=name, settings=settings)
        return {"PolicyARN": arn, "Alarms": []}


def describe_policies(service: Service, params: Params) -> Params:
    """DescribePolicies."""
    name, wanted, types = params.get("AutoScalingGroupName"), params.get("PolicyNames"), params.get("PolicyTypes")
    with service.lock:
        return {
            "ScalingPolicies": [
                policy.settings | {"PolicyARN": policy.arn, "Alarms": []}
                for policy in service.model.policies.values()
                if (not name or policy.group_name == name)
                and (not wanted or policy.name in wanted or policy.arn in wanted)
                and (not types or policy.settings["PolicyType"] in types)
            ]
        }


def delete_policy(service: Service, params: Params) -> Params:
    """DeletePolicy, by name or ARN."""
    name, group = params["PolicyName"], params.get("AutoScalingGroupName")
    with service.lock:
        service.model.policies = {
            arn: policy
            for arn, policy in service.model.policies.items()
            if name not in (arn, policy.name) or (group and policy.group_name != group)
        }
    return {}
