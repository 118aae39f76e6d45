"""One region's Auto Scaling: its state, the lock that guards it, and what its operations may ask for."""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError

from homeport.region.autoscaling import decisions
from homeport.region.autoscaling.model import (
    ACTIVITY_HISTORY,
    PENDING,
    TERMINATING,
    Activity,
    AutoScaling,
    Group,
    Instance,
)
from homeport.region.clock import Clock


@dataclass
class Service:
    """Handlers set desired state under ``lock`` and call ``wake``; the controller alone acts on it."""

    account: str
    region_name: str
    ec2: Any
    elbv2: Any
    """boto3 clients: what Auto Scaling knows of subnets, templates and target groups, it asks their services for."""
    clock: Clock
    model: AutoScaling = field(default_factory=AutoScaling)
    lock: threading.RLock = field(default_factory=threading.RLock)
    wake: Callable[[], None] = lambda: None

    def group(self, name: str) -> Group:
        """Return a group, or answer AWS's ``ValidationError``."""
        group = self.model.groups.get(name)
        if group is None:
            raise validation(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return group

    def changeable(self, name: str) -> Group:
        """Return a group that may still be changed, or answer AWS's ``ValidationError``."""
        group = self.group(name)
        if group.deleting:
            raise validation(f"AutoScalingGroup '{name}' is pending delete")
        return group

    def group_of(self, instance_id: str) -> Group:
        """Return the group an instance belongs to, or answer AWS's ``ValidationError``."""
        for group in self.model.groups.values():
            if instance_id in group.instances:
                return group
        raise validation(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def arn(self, kind: str, path: str) -> str:
        """Return an Auto Scaling ARN with a fresh id."""
        return f"arn:aws:autoscaling:{self.region_name}:{self.account}:{kind}:{uuid.uuid4()}:{path}"

    def take_out(self, group: Group, instance: Instance, because: str) -> Activity:
        """Begin an instance's termination and return its activity; the controller does the rest. The lock is held."""
        now = self.clock.now()
        if instance.lifecycle == PENDING:
            self.end_activity(group, instance.activity_id, "Failed", because)
        activity = self.begin_activity(
            group,
            f"Terminating EC2 instance: {instance.instance_id}",
            f"At {now:%Y-%m-%dT%H:%M:%SZ} an instance was taken out of service in response to {because}.",
            instance.zone,
        )
        instance.activity_id = activity.activity_id
        instance.lifecycle = TERMINATING
        if instance.target_groups:
            activity.status_code = "WaitingForELBConnectionDraining"
        return activity

    def count_failure(self, group: Group, launched_at: datetime, *, free: int) -> None:
        """Note that a launch failed, and when the next one may be tried; the first ``free`` ones cost no wait.

        What was launched before the last failure that counted belongs to the same incident.
        """
        if group.failed_at is not None and launched_at <= group.failed_at:
            return
        now = self.clock.now()
        group.failures += 1
        group.failed_at = now
        wait = self.clock.real(decisions.backoff(group.failures - free))
        group.retry_at = now + timedelta(seconds=wait)

    def begin_activity(self, group: Group, description: str, cause: str, zone: str) -> Activity:
        """Add a line to the group's history, newest first, and return it."""
        activity = Activity(
            activity_id=str(uuid.uuid4()),
            group_name=group.name,
            group_arn=group.arn,
            description=description,
            cause=cause,
            start_time=self.clock.now(),
            details=json.dumps({"Subnet ID": ",".join(group.subnets.get(zone, [])), "Availability Zone": zone}),
        )
        group.activities.insert(0, activity)
        del group.activities[ACTIVITY_HISTORY:]
        return activity

    def note(self, group: Group, activity_id: str, message: str) -> None:
        """Say in an activity that goes on what keeps it from its end."""
        for activity in group.activities:
            if activity.activity_id == activity_id:
                activity.status_message = message

    def end_activity(self, group: Group, activity_id: str, status: str, message: str = "") -> None:
        """Close a line of the history: ``Successful``, ``Failed`` or ``Cancelled``."""
        for activity in group.activities:
            if activity.activity_id == activity_id:
                activity.status_code, activity.status_message = status, message
                activity.progress, activity.end_time = 100, self.clock.now()


def validation(message: str) -> AutoscalingClientError:
    """Return AWS's ``ValidationError``."""
    return AutoscalingClientError("ValidationError", message)
