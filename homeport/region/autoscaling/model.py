"""What Auto Scaling groups are to the region: plain data, saved and loaded whole."""

from datetime import datetime
from typing import Any

import msgspec

from homeport.region.autoscaling.lifecycle import PENDING, STATES


class LaunchTemplate(msgspec.Struct, frozen=True):
    """The template and the version that an instance was launched from, as AWS reports it."""

    template_id: str
    name: str
    version: str


class Instance(msgspec.Struct):
    """One member of a group."""

    instance_id: str
    zone: str
    instance_type: str
    launch_template: LaunchTemplate | None
    activity_id: str
    """The activity that launches or terminates it."""
    launched_at: datetime
    """When its launch was decided."""
    lifecycle: str = PENDING
    health_status: str = "Healthy"
    protected: bool = False
    target_groups: list[str] = []
    """The target groups it is registered with, or may be."""
    unconfirmed: list[str] = []
    """Those of them that it may also not be registered with: a call may fail after it has had its effect."""
    in_service_at: datetime | None = None
    drain_until: datetime | None = None
    """When its deregistration delay ends; set while it drains."""
    unhealthy_because: str = ""
    """Why it is called unhealthy, by a user or by a health check: it does not recover by itself."""
    explanation: str = ""
    """What keeps the group from deciding about it."""


class Activity(msgspec.Struct):
    """One line of ``DescribeScalingActivities``."""

    activity_id: str
    group_name: str
    group_arn: str
    description: str
    cause: str
    start_time: datetime
    details: str
    status_code: str = "InProgress"
    status_message: str = ""
    progress: int = 0
    end_time: datetime | None = None


class Launch(msgspec.Struct):
    """A launch that was decided and has no instance id yet."""

    activity_id: str
    zone: str
    subnet_id: str
    decided_at: datetime


class Group(msgspec.Struct):
    """An Auto Scaling group.

    ``settings`` holds what the API was given, by the API's own names, so that every known field is
    given back; the properties below are those that the controller acts on.
    """

    name: str
    arn: str
    created: datetime
    settings: dict[str, Any]
    subnets: dict[str, list[str]]
    """Subnet ids by zone, in the order of the group's zones."""
    instances: dict[str, Instance] = {}
    launches: dict[str, Launch] = {}
    suspended: dict[str, str] = {}
    """Reason by suspended process."""
    tags: list[dict[str, Any]] = []
    enabled_metrics: list[str] = []
    deleting: bool = False
    activities: list[Activity] = []
    """The newest first."""
    failures: int = 0
    """Passes in a row in which a launch failed, or an instance soon after it; each doubles the wait for the next."""
    failed_at: datetime | None = None
    retry_at: datetime | None = None

    @property
    def minimum(self) -> int:
        """Return MinSize."""
        return int(self.settings["MinSize"])

    @property
    def maximum(self) -> int:
        """Return MaxSize."""
        return int(self.settings["MaxSize"])

    @property
    def desired(self) -> int:
        """Return DesiredCapacity."""
        return int(self.settings["DesiredCapacity"])

    @property
    def grace(self) -> int:
        """Return HealthCheckGracePeriod in AWS's seconds."""
        return int(self.settings["HealthCheckGracePeriod"])

    @property
    def elb_health(self) -> bool:
        """Return whether an unhealthy target makes an unhealthy instance."""
        return "ELB" in str(self.settings["HealthCheckType"]).split(",")

    @property
    def target_groups(self) -> list[str]:
        """Return the ARNs of the target groups its instances are registered with."""
        return list(self.settings["TargetGroupARNs"])

    @property
    def zones(self) -> list[str]:
        """Return the zones it spreads over."""
        return list(self.subnets)

    def allows(self, process: str) -> bool:
        """Return whether a process (``Launch``, ``Terminate``, ``HealthCheck`` ...) is not suspended."""
        return process not in self.suspended

    @property
    def hooked(self) -> frozenset[str]:
        """Return the transitions that have lifecycle hooks; no group can have any yet."""
        return frozenset()

    def live(self) -> list[Instance]:
        """Return the instances that count as capacity."""
        return [i for i in self.instances.values() if STATES[i.lifecycle].capacity]


class Policy(msgspec.Struct):
    """A scaling policy, kept and given back."""

    arn: str
    group_name: str
    name: str
    settings: dict[str, Any]


class AutoScaling(msgspec.Struct):
    """Everything that Auto Scaling knows in one region of one account."""

    groups: dict[str, Group] = {}
    policies: dict[str, Policy] = {}
    """By ARN."""

    def forget(self, group: Group) -> None:
        """Remove a group with everything that hangs on it."""
        del self.groups[group.name]
        self.policies = {arn: p for arn, p in self.policies.items() if p.group_name != group.name}

    def dump(self) -> bytes:
        """Return everything as JSON, for ``load``."""
        return msgspec.json.encode(self)

    @classmethod
    def load(cls, saved: bytes) -> "AutoScaling":
        """Return what ``dump`` wrote; raises ``msgspec.ValidationError`` when it is something else."""
        return msgspec.json.decode(saved, type=cls)
