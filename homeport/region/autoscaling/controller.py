"""The loop that makes groups so: it alone decides, a pool of threads does what takes time.

Handlers set desired state and wake it. Each pass looks at every group and derives, from what is there
and from nothing else, the one step that each instance needs next. So a step that failed, or that an
interruption lost, is simply needed again by the next pass.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from homeport.region.autoscaling import decisions, groups
from homeport.region.autoscaling.model import IN_SERVICE, PENDING, TERMINATING, Group, Instance, Launch
from homeport.region.autoscaling.service import Service
from homeport.region.autoscaling.steps import Steps

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""Between passes while nobody wakes the loop; a pass over a quiet fleet costs microseconds."""
EARLY_SECONDS = 60
"""AWS's seconds in service before which the end of an instance counts as a failed launch.

AWS has no such rule, but takes minutes to replace what ends at its start; here it would be an endless
loop of processes.
"""
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Real seconds before a step that failed is tried again, by how often it has failed in a row."""


class Machines(Protocol):
    """What the controller must know of instances beyond the API: asked on every pass, so it must be cheap."""

    def state(self, instance_id: str) -> str:
        """Return EC2's state: pending, running, stopping, stopped, shutting-down or terminated."""

    def why(self, instance_id: str) -> str:
        """Return why it does not run, in a line."""


class Targets(Protocol):
    """What the controller must know of the balancers."""

    def unhealthy(self, target_group: str, instance_id: str) -> str:
        """Return why the target fails its health checks, or nothing."""

    def drained(self, target_group: str, instance_id: str) -> bool:
        """Return whether a deregistered target has no request in flight any more."""


@dataclass
class _Trouble:
    """A step that fails: how often in a row, when it is tried again, and what was said of it."""

    times: int = 0
    not_before: float = 0.0
    message: str = ""


class Controller:
    """Runs one thread over all groups of one Auto Scaling service."""

    def __init__(self, service: Service, steps: Steps, machines: Machines, targets: Targets) -> None:
        self._service = service
        self._steps = steps
        self._machines = machines
        self._targets = targets
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="autoscaling-step")
        self._busy: set[str] = set()
        self._troubles: dict[str, _Trouble] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoscaling", daemon=True)
        service.wake = self.wake

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the groups now: something changed."""
        self._wake.set()

    def close(self) -> None:
        """Stop deciding and wait for the steps under way; instances stay as they are."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            for name in list(self._service.model.groups):
                try:
                    with self._service.lock:
                        if group := self._service.model.groups.get(name):
                            self._reconcile(group)
                except Exception:
                    logger.exception("group %s: pass failed, next one follows", name)
                    self._stop.wait(RETRY_SECONDS[0])

    def _reconcile(self, group: Group) -> None:
        for instance in list(group.instances.values()):
            if instance.instance_id not in self._busy:
                self._advance(group, instance)
        if group.deleting and not group.instances and not group.launches:
            groups.forget(self._service, group)
            return
        if group.failures and self._settled(group):
            group.failures, group.failed_at, group.retry_at = 0, None, None
        self._match_capacity(group)
        for launch in list(group.launches.values()):
            self._do(group, launch.activity_id, launch.activity_id, lambda one=launch: self._steps.launch(group, one))  # type: ignore[misc]

    def _advance(self, group: Group, instance: Instance) -> None:
        """Move an instance on by the one step that it needs now, if any."""
        state = self._machines.state(instance.instance_id)
        if instance.lifecycle == TERMINATING:
            self._advance_termination(group, instance, state)
        elif group.deleting:
            self._service.take_out(group, instance, "the deletion of its group")
        elif why := self._why_unhealthy(group, instance, state):
            instance.health_status = "Unhealthy"
            if group.allows("ReplaceUnhealthy") and group.allows("Terminate"):
                self._replace(group, instance, why)
        elif state == "running" and instance.lifecycle == PENDING:
            self._step(group, instance, lambda: self._steps.bring_in(group, instance))
        elif (
            instance.lifecycle == IN_SERVICE
            and sorted(instance.target_groups) != sorted(group.target_groups)
            and group.allows("AddToLoadBalancer")
        ):
            self._step(group, instance, lambda: self._steps.register(group, instance))

    def _advance_termination(self, group: Group, instance: Instance, state: str) -> None:
        if state == "terminated":
            del group.instances[instance.instance_id]
            self._troubles.pop(instance.instance_id, None)
            self._service.end_activity(group, instance.activity_id, "Successful")
        elif state == "shutting-down":
            return
        elif state != "running" or group.deleting or not instance.target_groups or self._drained(instance):
            self._step(group, instance, lambda: self._steps.terminate(instance))
        elif instance.drain_until is None:
            self._step(group, instance, lambda: self._steps.deregister(group, instance))

    def _drained(self, instance: Instance) -> bool:
        """Whether nobody would notice: AWS ends a drain early when no request is in flight."""
        if instance.drain_until is None:
            return False
        return self._service.clock.now() >= instance.drain_until or all(
            self._targets.drained(arn, instance.instance_id) for arn in instance.target_groups
        )

    def _why_unhealthy(self, group: Group, instance: Instance, state: str) -> str:
        """Return why an instance is to be replaced: a user's word, EC2's, or the load balancer's after the grace."""
        if instance.unhealthy_because:
            return instance.unhealthy_because
        if not group.allows("HealthCheck"):
            return ""
        if state not in ("pending", "running"):
            why = self._machines.why(instance.instance_id)
            return "an EC2 health check indicating it has been terminated or stopped" + (f" ({why})" if why else "")
        if group.elb_health and instance.in_service_at and self._age(instance) >= self._service.clock.real(group.grace):
            for target_group in instance.target_groups:
                if why := self._targets.unhealthy(target_group, instance.instance_id):
                    return f"an ELB system health check failure ({why})"
        return ""

    def _replace(self, group: Group, instance: Instance, why: str) -> None:
        """Take an instance out; the same pass fills its place, unless instances end as soon as they start."""
        if instance.in_service_at is None:
            self._service.count_failure(group, instance.launched_at, free=0)
        elif self._age(instance) < self._service.clock.real(EARLY_SECONDS):
            # One may be killed soon after its start, and is replaced at once; a row of them waits.
            self._service.count_failure(group, instance.launched_at, free=1)
        self._service.take_out(group, instance, why)

    def _match_capacity(self, group: Group) -> None:
        live = group.live()
        missing = group.desired - len(live) - len(group.launches)
        waiting = group.retry_at is not None and self._service.clock.now() < group.retry_at
        if missing > 0 and group.allows("Launch") and not waiting:
            cause = (
                f"At {self._service.clock.now():%Y-%m-%dT%H:%M:%SZ} an instance was started in response to "
                "a difference between desired and actual capacity, "
                f"increasing the capacity from {len(live)} to {group.desired}."
            )
            for _ in range(missing):
                self._launch(group, cause)
        elif missing < 0 and group.allows("Terminate") and self._all_in_service(group):
            self._scale_in(group, -missing)
        elif missing == 0 and not waiting and self._may_rebalance(group):
            self._launch(group, "An instance was launched to aid in balancing the group's zones.")

    def _scale_in(self, group: Group, count: int) -> None:
        before = len(group.live())
        for _ in range(count):
            instance = decisions.choose_scale_in(group)
            if instance is None:
                return
            because = "a difference between desired and actual capacity, "
            self._service.take_out(group, instance, f"{because}shrinking the capacity from {before} to {group.desired}")

    def _launch(self, group: Group, cause: str) -> None:
        occupied = [i.zone for i in group.live()] + [launch.zone for launch in group.launches.values()]
        zone = decisions.choose_zone(group.zones, occupied)
        activity = self._service.begin_activity(group, "Launching a new EC2 instance", cause, zone)
        subnet = random.choice(group.subnets[zone])
        group.launches[activity.activity_id] = Launch(activity.activity_id, zone, subnet, activity.start_time)

    def _all_in_service(self, group: Group) -> bool:
        return not group.launches and all(i.lifecycle == IN_SERVICE for i in group.live())

    def _may_rebalance(self, group: Group) -> bool:
        return (
            group.allows("AZRebalance")
            and group.allows("Launch")
            and self._all_in_service(group)
            and decisions.unbalanced(group)
            and len(group.instances) < decisions.most_while_rebalancing(group)
        )

    def _settled(self, group: Group) -> bool:
        """Whether the newest instances have stayed: only then a row of failures is over."""
        live, settled = group.live(), self._service.clock.real(EARLY_SECONDS)
        return bool(live) and self._all_in_service(group) and all(self._age(i) >= settled for i in live)

    def _age(self, instance: Instance) -> float:
        """Return the real seconds that an instance has been in service."""
        if instance.in_service_at is None:
            return 0.0
        return (self._service.clock.now() - instance.in_service_at).total_seconds()

    def _step(self, group: Group, instance: Instance, step: Callable[[], None]) -> None:
        self._do(group, instance.instance_id, instance.activity_id, step)

    def _do(self, group: Group, key: str, activity_id: str, step: Callable[[], None]) -> None:
        """Run a step in the pool, unless one for the same key is under way or failed a moment ago."""
        trouble = self._troubles.get(key)
        if key in self._busy or self._stop.is_set() or (trouble and time.monotonic() < trouble.not_before):
            return
        self._busy.add(key)

        def run() -> None:
            error: Exception | None = None
            try:
                step()
            except Exception as raised:  # noqa: BLE001  told below, and tried again
                error = raised
            with self._service.lock:
                self._busy.discard(key)
                if error is None:
                    self._troubles.pop(key, None)
                else:
                    self._note_trouble(group, key, activity_id, error)
            if error is None:
                self.wake()

        self._pool.submit(run)

    def _note_trouble(self, group: Group, key: str, activity_id: str, error: Exception) -> None:
        """Say once what keeps a step from its end, in the log and in the activity, and put off the next try."""
        trouble = self._troubles.setdefault(key, _Trouble())
        wait = RETRY_SECONDS[min(trouble.times, len(RETRY_SECONDS) - 1)]
        trouble.times += 1
        trouble.not_before = time.monotonic() + wait
        message = f"{type(error).__name__}: {error}"
        if message != trouble.message:
            logger.error("group %s: %s: tried again: %s", group.name, key, message, exc_info=error)
            trouble.message = message
        self._service.note(group, activity_id, message)
