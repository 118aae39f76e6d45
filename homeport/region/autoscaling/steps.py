"""What a group's controller asks of EC2 and the load balancers: calls of the API, made outside its lock."""

import base64
import logging
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from homeport.region.autoscaling.model import IN_SERVICE, PENDING, Group, Instance, Launch, LaunchTemplate
from homeport.region.autoscaling.service import Service

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


class Steps:
    """The steps of one Auto Scaling service; each is safe to repeat after an interruption."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ec2 = service.ec2
        self._elbv2 = service.elbv2

    def launch(self, group: Group, launch: Launch) -> None:
        """Run one instance and make it a member; a refusal ends the activity and lengthens the next wait.

        No answer at all is raised instead: EC2 may have run it, and the same token finds it the next time.
        """
        try:
            template, data = self._template(group)
            run = self._ec2.run_instances(**_run_request(group, launch, template, data))["Instances"][0]
        except (ClientError, LookupError, ValueError) as error:
            self._give_up(group, launch, error)
            return
        with self._service.lock:
            if group.launches.pop(launch.activity_id, None) is None:
                return
            group.instances[run["InstanceId"]] = Instance(
                instance_id=run["InstanceId"],
                zone=launch.zone,
                instance_type=run["InstanceType"],
                launch_template=template,
                activity_id=launch.activity_id,
                launched_at=launch.decided_at,
                protected=bool(group.settings["NewInstancesProtectedFromScaleIn"]),
            )
            for activity in group.activities:
                if activity.activity_id == launch.activity_id:
                    activity.description = f"Launching a new EC2 instance: {run['InstanceId']}"
                    activity.status_code, activity.progress = "PreInService", 30

    def bring_in(self, group: Group, instance: Instance) -> None:
        """Register a running instance with the group's target groups; then it is in service."""
        if group.allows("AddToLoadBalancer"):
            self.register(group, instance)
        with self._service.lock:
            # A user may have terminated it meanwhile.
            if instance.lifecycle == PENDING:
                instance.lifecycle = IN_SERVICE
                instance.in_service_at = self._service.clock.now()
                self._service.end_activity(group, instance.activity_id, "Successful")

    def register(self, group: Group, instance: Instance) -> None:
        """Bring an instance's registrations in line with the group's target groups."""
        wanted = group.target_groups
        for arn in wanted:
            if arn not in instance.target_groups:
                self._elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": instance.instance_id}])
        for arn in instance.target_groups:
            if arn not in wanted:
                self._elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": instance.instance_id}])
        with self._service.lock:
            instance.target_groups = wanted

    def deregister(self, group: Group, instance: Instance) -> None:
        """Take an instance out of its target groups and note how long it may drain."""
        delay = 0
        for arn in instance.target_groups:
            try:
                self._elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": instance.instance_id}])
                delay = max(delay, self._deregistration_delay(arn))
            except ClientError as error:
                # The target group may be gone before the group is.
                logger.info("%s: %s cannot be deregistered: %s", group.name, instance.instance_id, error)
        with self._service.lock:
            real = self._service.clock.real(delay)
            instance.drain_until = self._service.clock.now() + timedelta(seconds=real)

    def terminate(self, instance: Instance) -> None:
        """Terminate the instance; the pass that finds it terminated forgets it.

        A group does not ask for an instance's own protection against termination, in AWS neither.
        """
        named = [instance.instance_id]
        try:
            self._ec2.terminate_instances(InstanceIds=named)
        except ClientError as error:
            if error.response["Error"]["Code"] != "OperationNotPermitted":
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

    def _give_up(self, group: Group, launch: Launch, error: Exception) -> None:
        logger.warning("%s: launch in %s failed: %s", group.name, launch.zone, error)
        with self._service.lock:
            group.launches.pop(launch.activity_id, None)
            self._service.count_failure(group, launch.decided_at, free=0)
            self._service.end_activity(group, launch.activity_id, "Failed", f"{error}. Launching EC2 instance failed.")

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
