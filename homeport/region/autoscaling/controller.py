"""The loop that makes groups so: it alone decides, a pool of threads does what takes time.

Handlers set desired state and wake it. Each pass looks at every group and moves each instance at
most one step on; the steps live in the model, so a pass after an interruption goes on from there.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

from homeport.region.autoscaling import decisions, groups
from homeport.region.autoscaling.model import IN_SERVICE, PENDING, TERMINATING, Group, Instance, Launch
from homeport.region.autoscaling.service import Service
from homeport.region.autoscaling.steps import Steps

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""Between passes while something is on its way; a pass over a quiet fleet costs microseconds."""
EARLY_FAILURE_SECONDS = 60
"""AWS's seconds in service before which a failed instance counts as a failed launch, and the next one waits."""


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


class Controller:
    """Runs one thread over all groups of one Auto Scaling service."""

    def __init__(self, service: Service, steps: Steps, machines: Machines, targets: Targets) -> None:
        self._service = service
        self._steps = steps
        self._machines = machines
        self._targets = targets
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="autoscaling-step")
        self._busy: set[str] = set()
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
            for group in list(self._service.model.groups.values()):
                try:
                    with self._service.lock:
                        self._reconcile(group)
                except Exception:
                    logger.exception("group %s: pass failed, next one follows", group.name)

    def _reconcile(self, group: Group) -> None:
        for instance in list(group.instances.values()):
            if instance.instance_id not in self._busy:
                self._advance(group, instance)
        if group.deleting and not group.instances and not group.launches:
            groups.forget(self._service, group)
            return
        if group.failures and self._settled(group):
            group.failures, group.retry_at = 0, None
        for launch in group.launches.values():
            # Also those that an interruption left without a thread.
            self._do(launch.activity_id, lambda launch=launch: self._steps.launch(group, launch))  # type: ignore[misc]
        self._match_capacity(group)

    def _advance(self, group: Group, instance: Instance) -> None:
        state = self._machines.state(instance.instance_id)
        if instance.lifecycle == TERMINATING:
            self._advance_termination(group, instance, state)
        elif group.deleting or instance.doomed:
            because = "a user request" if instance.doomed else "the deletion of its group"
            self._terminate(group, instance, self._taken_out(because))
        elif state not in ("pending", "running"):
            self._retire(
                group,
                instance,
                f"an EC2 health check indicating it has been terminated or stopped{self._why(instance)}",
            )
        elif instance.health_status == "Unhealthy" and instance.unhealthy_because:
            self._retire(group, instance, instance.unhealthy_because)
        elif instance.lifecycle == PENDING and state == "running":
            self._do(instance.instance_id, lambda: self._steps.bring_in(group, instance))
        elif instance.lifecycle == IN_SERVICE:
            self._check_targets(group, instance)

    def _why(self, instance: Instance) -> str:
        why = self._machines.why(instance.instance_id)
        return f" ({why})" if why else ""

    def _check_targets(self, group: Group, instance: Instance) -> None:
        if sorted(instance.target_groups) != sorted(group.target_groups) and group.allows("AddToLoadBalancer"):
            self._do(instance.instance_id, lambda: self._steps.register(group, instance))
            return
        age = self._service.clock.now() - (instance.in_service_at or self._service.clock.now())
        if not group.elb_health or age.total_seconds() < self._service.clock.real(group.grace):
            return
        for target_group in instance.target_groups:
            why = self._targets.unhealthy(target_group, instance.instance_id)
            if why:
                self._retire(group, instance, f"an ELB system health check failure ({why})")
                return

    def _retire(self, group: Group, instance: Instance, because: str) -> None:
        """Take an unhealthy instance out; its place is filled by the same pass."""
        if not group.allows("HealthCheck"):
            return
        instance.health_status = "Unhealthy"
        if not (group.allows("ReplaceUnhealthy") and group.allows("Terminate")):
            return
        now = self._service.clock.now()
        real = self._service.clock.real
        if instance.in_service_at is None or (now - instance.in_service_at).total_seconds() < real(
            EARLY_FAILURE_SECONDS
        ):
            self._count_failure(group, started=instance.lifecycle == IN_SERVICE)
        self._terminate(group, instance, self._taken_out(because))

    def _taken_out(self, because: str) -> str:
        now = self._service.clock.now()
        return f"At {now:%Y-%m-%dT%H:%M:%SZ} an instance was taken out of service in response to {because}."

    def _count_failure(self, group: Group, *, started: bool) -> None:
        group.failures += 1
        # The first one that had started is replaced at once: a killed instance should not wait.
        wait = self._service.clock.real(decisions.backoff(group.failures - 1 if started else group.failures))
        group.retry_at = self._service.clock.now() + timedelta(seconds=wait)

    def _terminate(self, group: Group, instance: Instance, cause: str) -> None:
        activity = self._service.begin_activity(
            group, f"Terminating EC2 instance: {instance.instance_id}", cause, self._steps.details(group, instance.zone)
        )
        if instance.lifecycle == PENDING:
            self._service.end_activity(group, instance.activity_id, "Failed", self._machines.why(instance.instance_id))
        instance.activity_id = activity.activity_id
        instance.lifecycle = TERMINATING
        if instance.target_groups:
            activity.status_code = "WaitingForELBConnectionDraining"
            self._do(instance.instance_id, lambda: self._steps.deregister(group, instance))

    def _advance_termination(self, group: Group, instance: Instance, state: str) -> None:
        if state == "terminated":
            del group.instances[instance.instance_id]
            self._service.end_activity(group, instance.activity_id, "Successful")
        elif instance.stopping:
            return
        elif state in ("stopped", "stopping") or group.deleting or self._drained(instance):
            self._do(instance.instance_id, lambda: self._steps.terminate(group, instance))

    def _drained(self, instance: Instance) -> bool:
        """Whether nobody would notice: AWS ends a drain early when no request is in flight."""
        if not instance.target_groups:
            return True
        if instance.drain_until is None:
            return False
        return self._service.clock.now() >= instance.drain_until or all(
            self._targets.drained(arn, instance.instance_id) for arn in instance.target_groups
        )

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

    def _scale_in(self, group: Group, count: int) -> None:
        before = len(group.live())
        for _ in range(count):
            instance = decisions.choose_scale_in(group)
            if instance is None:
                return
            self._terminate(
                group,
                instance,
                self._taken_out(
                    "a difference between desired and actual capacity, "
                    f"shrinking the capacity from {before} to {group.desired}"
                ),
            )

    def _launch(self, group: Group, cause: str) -> None:
        occupied = [i.zone for i in group.live()] + [launch.zone for launch in group.launches.values()]
        zone = decisions.choose_zone(group.zones, occupied)
        activity = self._service.begin_activity(
            group, "Launching a new EC2 instance", cause, self._steps.details(group, zone)
        )
        launch = Launch(activity_id=activity.activity_id, zone=zone, subnet_id=group.subnets[zone])
        group.launches[launch.activity_id] = launch
        self._do(launch.activity_id, lambda: self._steps.launch(group, launch))

    def _settled(self, group: Group) -> bool:
        """Whether the newest instances have stayed: only then a row of failures is over."""
        now, settled = self._service.clock.now(), self._service.clock.real(EARLY_FAILURE_SECONDS)
        live = group.live()
        return (
            bool(live)
            and self._all_in_service(group)
            and all(i.in_service_at is not None and (now - i.in_service_at).total_seconds() >= settled for i in live)
        )

    def _do(self, key: str, step: Callable[[], None]) -> None:
        """Run a step in the pool, unless one for the same instance or launch is under way."""
        if key in self._busy or self._stop.is_set():
            return
        self._busy.add(key)

        def run() -> None:
            try:
                step()
            except Exception:
                logger.exception("step for %s failed, the next pass tries again", key)
            finally:
                with self._service.lock:
                    self._busy.discard(key)
                self.wake()

        self._pool.submit(run)
