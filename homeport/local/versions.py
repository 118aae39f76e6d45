"""Which version of its launch template a group launches from now on."""

from collections.abc import Iterator
from typing import Any


def launch_from_newest(autoscaling: Any, ec2: Any) -> Iterator[str]:
    """Let every group launch from its template's newest version; yield a line for each group that changed.

    Terraform writes a new version and leaves the group where it is, for a deploy to move. Here, where
    ``up`` has just applied what the pointer names, whatever is launched next comes from it; instances
    that run are left alone. Both arguments are boto3 clients.
    """
    for group in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
        template = group.get("LaunchTemplate")
        if template is None:
            continue
        found = ec2.describe_launch_templates(LaunchTemplateIds=[template["LaunchTemplateId"]])["LaunchTemplates"]
        newest = str(found[0]["LatestVersionNumber"])
        # By number: a name such as $Latest could not be rolled back to.
        if template["Version"] == newest:
            continue
        autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=group["AutoScalingGroupName"],
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": newest},
        )
        yield (
            f"{group['AutoScalingGroupName']}: new instances start from version {newest} of the template; "
            "those that run stay"
        )
