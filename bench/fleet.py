"""A running fleet as a stopwatch needs it: clients made once, so that looking costs next to nothing."""

import time
from functools import cached_property
from typing import Any, NamedTuple

from bench.commands import CommandError
from homeport.local import status
from homeport.region import access
from homeport.region.journal import Entry, Journal
from homeport.region.state import StateFolder

_WHOLE_SECONDS = 60.0


class Look(NamedTuple):
    """One look at the group: how many it wants, the ids it holds, and those of them that serve."""

    desired: int
    held: frozenset[str]
    serving: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether all that is wanted serves, and nothing else is left."""
        return len(self.serving) == self.desired and self.held == self.serving


class Fleet:
    """The fleet on one state folder."""

    def __init__(self, state: StateFolder) -> None:
        self.state = state

    @cached_property
    def url(self) -> str:
        """Where the balance service answers, through the balancer."""
        return f"{status.read(self.state)['services']['balance']['url']}/users/alice/balance"

    def look(self) -> Look:
        """Ask the API once."""
        group = self._autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
        targets = self._elbv2.describe_target_health(TargetGroupArn=group["TargetGroupARNs"][0])
        healthy = {
            target["Target"]["Id"]
            for target in targets["TargetHealthDescriptions"]
            if target["TargetHealth"]["State"] == "healthy"
        }
        held = frozenset(instance["InstanceId"] for instance in group["Instances"])
        in_service = {i["InstanceId"] for i in group["Instances"] if i["LifecycleState"] == "InService"}
        return Look(group["DesiredCapacity"], held, frozenset(in_service & healthy))

    def wait_whole(self) -> Look:
        """Wait until the group is as it should be."""
        deadline = time.monotonic() + _WHOLE_SECONDS
        while not (look := self.look()).whole:
            if time.monotonic() > deadline:
                raise CommandError(f"the fleet was not whole after {_WHOLE_SECONDS:g} s: {look}")
            time.sleep(0.1)
        return look

    def running(self, kind: str) -> list[Entry]:
        """Return the journal's running ``instance``, ``balancer`` or ``region`` processes."""
        return [entry for entry in Journal(self.state.journal).entries(kind) if entry.running]

    @cached_property
    def _autoscaling(self) -> Any:
        return self._client("autoscaling")

    @cached_property
    def _elbv2(self) -> Any:
        return self._client("elbv2")

    def _client(self, service: str) -> Any:
        return access.client(service, access.settings(access.running(self.state), access.read_keys(self.state)))
