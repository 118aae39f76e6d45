"""One region's Auto Scaling: its state, the lock that guards it, and what its operations may ask for."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError

from homeport.region.autoscaling.model import ACTIVITY_HISTORY, Activity, AutoScaling, Group
from homeport.region.clock import Clock


@dataclass
class Service:
    """Handlers set desired state under ``lock`` and call ``wake``; the controller alone acts on it."""

    account: str
    region_name: str
    ec2: Any
    """A boto3 client: what Auto Scaling knows of subnets and templates, it asks EC2 for."""
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

    def group_of(self, instance_id: str) -> Group:
        """Return the group an instance belongs to, or answer AWS's ``ValidationError``."""
        for group in self.model.groups.values():
            if instance_id in group.instances:
                return group
        raise validation(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def arn(self, kind: str, path: str) -> str:
        """Return an Auto Scaling ARN with a fresh id."""
        return f"arn:aws:autoscaling:{self.region_name}:{self.account}:{kind}:{uuid.uuid4()}:{path}"

    def begin_activity(self, group: Group, description: str, cause: str, details: str) -> Activity:
        """Add a line to the group's history, newest first, and return it."""
        activity = Activity(
            activity_id=str(uuid.uuid4()),
            group_name=group.name,
            group_arn=group.arn,
            description=description,
            cause=cause,
            start_time=self.clock.now(),
            details=details,
        )
        group.activities.insert(0, activity)
        del group.activities[ACTIVITY_HISTORY:]
        return activity

    def end_activity(self, group: Group, activity_id: str, status: str, message: str = "") -> None:
        """Close a line of the history: ``Successful``, ``Failed`` or ``Cancelled``."""
        for activity in group.activities:
            if activity.activity_id == activity_id:
                activity.status_code, activity.status_message = status, message
                activity.progress, activity.end_time = 100, self.clock.now()


def validation(message: str) -> AutoscalingClientError:
    """Return AWS's ``ValidationError``."""
    return AutoscalingClientError("ValidationError", message)
