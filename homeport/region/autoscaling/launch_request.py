"""What a group adds to its launch template when it asks EC2 for an instance; EC2 does the rest, as in AWS."""

from typing import Any

from homeport.region.autoscaling.model import Group, Launch, LaunchTemplate


def launch_request(group: Group, launch: Launch, template: LaunchTemplate, data: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of RunInstances for one launch; ``data`` is the ``LaunchTemplateData`` of the version.

    The group's tags win over the template's, and its subnet over that of the template's first interface.
    """
    tags = {tag["Key"]: tag["Value"] for tag in group.tags if tag["PropagateAtLaunch"]}
    tags["aws:autoscaling:groupName"] = group.name
    return {
        "LaunchTemplate": {"LaunchTemplateId": template.template_id, "Version": template.version},
        "MinCount": 1,
        "MaxCount": 1,
        # EC2 runs a launch that is repeated once.
        "ClientToken": launch.activity_id,
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
        **_subnet(launch, data.get("NetworkInterfaces") or []),
    }


def _subnet(launch: Launch, interfaces: list[dict[str, Any]]) -> dict[str, Any]:
    """Say where the instance goes: of its interfaces when the template has some, else of the instance."""
    if not interfaces:
        return {"SubnetId": launch.subnet_id}
    placed = [
        {"DeviceIndex": one.get("DeviceIndex", 0), "SubnetId": launch.subnet_id}
        for one in interfaces
        if one.get("DeviceIndex", 0) == 0 or not one.get("SubnetId")
    ]
    return {"NetworkInterfaces": placed}
