"""What a group asks of EC2 and the load balancers: calls of the API, made outside its lock."""

import logging
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from homeport.region.autoscaling.launch_request import launch_request
from homeport.region.autoscaling.model import Group, Launch, LaunchTemplate
from homeport.region.autoscaling.plan import changes, steps

logger = logging.getLogger(__name__)


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
            run = self._ec2.run_instances(**launch_request(group, launch, template, data))["Instances"][0]
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

        No protection of the instance against calls of EC2 holds a group up, in AWS neither. What EC2 does not
        know at all is over.
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
            for attribute in ("DisableApiTermination", "DisableApiStop"):
                self._ec2.modify_instance_attribute(InstanceId=named[0], **{attribute: {"Value": False}})
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
