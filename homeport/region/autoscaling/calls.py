"""What a group asks of EC2 and the load balancers: calls of the API, made outside its lock."""

import base64
import logging
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from homeport.region.autoscaling.model import Group, Launch, LaunchTemplate
from homeport.region.autoscaling.plan import changes, steps

logger = logging.getLogger(__name__)

PASSED_ON = (
    "BlockDeviceMappings",
    "CreditSpecification",
    "EbsOptimized",
    "ImageId",
    "InstanceType",
    "KeyName",
    "MetadataOptions",
    "Monitoring",
    "SecurityGroupIds",
    "UserData",
)
"""Fields of a launch template's data that mean the same in RunInstances."""


class Calls:
    """The calls of one Auto Scaling service; each is safe to repeat after an interruption.

    They change nothing of the group: each gives what it has been answered as changes, one by one, so that
    what was done before a failure is known.
    """

    def __init__(self, ec2: Any, elbv2: Any) -> None:
        """``ec2`` and ``elbv2`` are boto3 clients."""
        self._ec2 = ec2
        self._elbv2 = elbv2

    def make(self, group: Group, call: steps.Call) -> Iterator[changes.Change]:
        """Make a call and give what comes of it."""
        if isinstance(call, steps.RunInstances):
            if launch := group.launches.get(call.key):
                yield self.launch(group, launch)
        elif isinstance(call, steps.RegisterTargets):
            yield from self.register(call)
        elif isinstance(call, steps.DeregisterTargets):
            yield from self.deregister(call)
        elif isinstance(call, steps.TerminateInstances):
            yield from self.terminate(call)

    def launch(self, group: Group, launch: Launch) -> changes.Change:
        """Run one instance; a refusal ends the launch.

        No answer at all is raised instead: EC2 may have run it, and the same token finds it the next time.
        """
        try:
            template, data = self._template(group)
            run = self._ec2.run_instances(**_run_request(group, launch, template, data))["Instances"][0]
        except (ClientError, LookupError, ValueError) as error:
            logger.warning("%s: launch in %s failed: %s", group.name, launch.zone, error)
            return changes.LaunchFailed(launch.activity_id, f"{error}. Launching EC2 instance failed.")
        return changes.Launched(launch.activity_id, run["InstanceId"], run["InstanceType"], template)

    def register(self, call: steps.RegisterTargets) -> Iterator[changes.Change]:
        """Bring an instance's registrations in line with the group's target groups."""
        targets = [{"Id": call.key}]
        for arn in call.register:
            yield changes.Unconfirmed(call.key, arn)
            try:
                self._elbv2.register_targets(TargetGroupArn=arn, Targets=targets)
            except self._elbv2.exceptions.TargetGroupNotFoundException:
                yield changes.Deregistered(call.key, arn)
                raise
            yield changes.Registered(call.key, arn)
        for arn in call.deregister:
            yield changes.Unconfirmed(call.key, arn)
            try:
                self._elbv2.deregister_targets(TargetGroupArn=arn, Targets=targets)
            except self._elbv2.exceptions.TargetGroupNotFoundException:
                logger.info("%s: %s is gone, and the registration with it", call.key, arn)
            yield changes.Deregistered(call.key, arn)

    def deregister(self, call: steps.DeregisterTargets) -> Iterator[changes.Change]:
        """Deregister an instance that is leaving, and tell how long it may drain."""
        delay = 0
        for arn in call.target_groups:
            try:
                self._elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": call.key}])
                delay = max(delay, self._deregistration_delay(arn))
            except ClientError as error:
                # The target group may be gone before the group is.
                logger.info("%s cannot be deregistered: %s", call.key, error)
        yield changes.Draining(call.key, delay)

    def terminate(self, call: steps.TerminateInstances) -> Iterator[changes.Change]:
        """Terminate the instance; the plan forgets it once EC2 says that it is terminated.

        A group does not ask for an instance's own protection against termination, in AWS neither. What EC2
        does not know at all is over.
        """
        named = [call.key]
        try:
            self._ec2.terminate_instances(InstanceIds=named)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "InvalidInstanceID.NotFound":
                yield changes.ForgetInstance(call.key)
                return
            if code != "OperationNotPermitted":
                raise
            self._ec2.modify_instance_attribute(InstanceId=named[0], DisableApiTermination={"Value": False})
            self._ec2.terminate_instances(InstanceIds=named)

    def _template(self, group: Group) -> tuple[LaunchTemplate, dict[str, Any]]:
        wanted = group.settings["LaunchTemplate"]
        found = self._ec2.describe_launch_template_versions(
            LaunchTemplateId=wanted["LaunchTemplateId"], Versions=[wanted["Version"]]
        )["LaunchTemplateVersions"][0]
        template = LaunchTemplate(found["LaunchTemplateId"], found["LaunchTemplateName"], str(found["VersionNumber"]))
        return template, found["LaunchTemplateData"]

    def _deregistration_delay(self, arn: str) -> int:
        attributes = self._elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        values = {a["Key"]: a["Value"] for a in attributes}
        return int(values.get("deregistration_delay.timeout_seconds", 300))


def _run_request(group: Group, launch: Launch, template: LaunchTemplate, data: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {key: data[key] for key in PASSED_ON if key in data}
    if "UserData" in request:
        # The template holds it in base64, RunInstances takes it plain: boto3 encodes it again.
        request["UserData"] = base64.b64decode(request["UserData"])
    if data.get("IamInstanceProfile"):
        request["IamInstanceProfile"] = data["IamInstanceProfile"]
    if data.get("NetworkInterfaces"):
        first = dict(data["NetworkInterfaces"][0])
        request["NetworkInterfaces"] = [first | {"SubnetId": launch.subnet_id, "DeviceIndex": 0}]
        request.pop("SecurityGroupIds", None)
    else:
        request["SubnetId"] = launch.subnet_id
    tags = {
        tag["Key"]: tag["Value"]
        for spec in data.get("TagSpecifications", [])
        if spec["ResourceType"] == "instance"
        for tag in spec["Tags"]
    }
    tags |= {tag["Key"]: tag["Value"] for tag in group.tags if tag["PropagateAtLaunch"]}
    tags |= {
        "aws:autoscaling:groupName": group.name,
        "aws:ec2launchtemplate:id": template.template_id,
        "aws:ec2launchtemplate:version": template.version,
    }
    others = [
        spec for spec in data.get("TagSpecifications", []) if spec["ResourceType"] in ("volume", "network-interface")
    ]
    return request | {
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": launch.activity_id,
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]},
            *others,
        ],
    }
