"""One region's Auto Scaling: its state, the lock that guards it, and what its operations may ask for."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from homeport.region.autoscaling.apply import apply
from homeport.region.autoscaling.model import AutoScaling, Group
from homeport.region.autoscaling.plan.changes import Change
from homeport.region.autoscaling.plan.facts import Moment
from homeport.region.clock import Clock
from homeport.region.from_moto.autoscaling import AutoscalingClientError


@dataclass
class Service:
    """Handlers set desired state under ``lock`` and call ``wake``; the controller carries out the plan."""

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

    def now(self) -> Moment:
        """Return the present moment, for plans and changes."""
        return Moment(self.clock.now(), self.clock.factor)

    def apply(self, group: Group, change: Change) -> None:
        """Change a group, now."""
        with self.lock:
            apply(self.model, group, change, self.now())


def validation(message: str) -> AutoscalingClientError:
    """Return AWS's ``ValidationError``."""
    return AutoscalingClientError("ValidationError", message)
