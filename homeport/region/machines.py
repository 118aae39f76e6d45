"""Between the EC2 API and the driver: what EC2 says of an instance is what its machine does."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moto.backends import get_backend
from moto.ec2.models.instances import Instance, StateReason

from homeport.errors import HomeportError
from homeport.region.instances.driver import Driver, MachineSpec

logger = logging.getLogger(__name__)

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""EC2's state names and codes."""

STOP_GRACE_SECONDS = 30.0
"""How long a machine may take to shut down; longer than a service's own drain."""

Attach = Callable[[Instance], None]


class Machines:
    """Makes instances real, each in its own order; a moto instance is touched with moto's lock held only.

    The driver stops a machine before the API frees its address: a new instance may get it at once.
    """

    def __init__(
        self,
        driver: Driver,
        lock: threading.RLock,
        *,
        environment: Callable[[Instance], dict[str, str]],
        attach: Attach,
        detach: Attach,
    ) -> None:
        """``attach`` and ``detach`` start and end what an instance needs beside it (its metadata service)."""
        self._driver = driver
        self._lock = lock
        self._environment = environment
        self._attach = attach
        self._detach = detach
        self._instances: dict[str, Instance] = {}
        self._queues: dict[str, threading.Lock] = {}
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="machine")
        self.on_change: Callable[[], None] = lambda: None
        driver.on_exit(self._exited)

    def launch(self, instance: Instance) -> None:
        """Start an instance's machine in the background; moto's lock is held."""
        self._instances[instance.id] = instance
        self._queues.setdefault(instance.id, threading.Lock())
        _set(instance, "pending")
        self._submit(instance, self._launch)

    def stop(self, instance: Instance) -> None:
        """Stop a machine in the background; moto's lock is held."""
        _set(instance, "stopping")
        self._submit(instance, self._stop)

    def terminate(self, instance: Instance) -> None:
        """Stop a machine for good in the background, then free its address; moto's lock is held."""
        if instance.id in self._instances and instance.state != "shutting-down":
            _set(instance, "shutting-down")
            self._submit(instance, self._terminate)

    def reboot(self, instance: Instance) -> None:
        """Stop and start a machine in the background; EC2 calls it running all the while."""
        self._submit(instance, self._reboot)

    def state(self, instance_id: str) -> str:
        """Return EC2's state of an instance; one that nobody knows is terminated."""
        instance = self._instances.get(instance_id)
        return instance.state if instance else "terminated"

    def why(self, instance_id: str) -> str:
        """Return why an instance does not run, in a line, or nothing."""
        instance = self._instances.get(instance_id)
        return (instance.state_reason.message or "") if instance else ""

    def close(self) -> None:
        """Start and stop nothing any more; machines go on."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, instance: Instance, work: Callable[[Instance], None]) -> None:
        def run() -> None:
            with self._queues[instance.id]:
                try:
                    work(instance)
                except Exception:
                    logger.exception("%s: %s failed", instance.id, work.__name__.strip("_"))
            self.on_change()

        self._pool.submit(run)

    def _launch(self, instance: Instance) -> None:
        with self._lock:
            if instance.state != "pending":
                return
            spec = self._spec(instance)
        try:
            self._driver.check(spec)
            self._attach(instance)
            self._driver.launch(spec)
        except (HomeportError, OSError) as error:
            self._fail(instance, error)
            return
        with self._lock:
            # It may have ended meanwhile, or somebody terminated it.
            if instance.state == "pending":
                _set(instance, "running")

    def _fail(self, instance: Instance, error: Exception) -> None:
        message = getattr(error, "message", str(error))
        console = self._driver.logs(instance.id, 5)
        logger.warning("%s: cannot be launched: %s", instance.id, "\n  ".join([message, *console]))
        with self._lock:
            self._free(instance)
            instance.state_reason = StateReason(f"Server.InternalError: {message}", "Server.InternalError")

    def _stop(self, instance: Instance) -> None:
        self._driver.stop(instance.id, grace=STOP_GRACE_SECONDS)
        self._detach(instance)
        with self._lock:
            if instance.state == "stopping":
                instance.stop()

    def _terminate(self, instance: Instance) -> None:
        self._driver.stop(instance.id, grace=STOP_GRACE_SECONDS)
        self._detach(instance)
        with self._lock:
            self._free(instance)

    def _reboot(self, instance: Instance) -> None:
        self._driver.stop(instance.id, grace=STOP_GRACE_SECONDS)
        with self._lock:
            spec = self._spec(instance)
        self._driver.launch(spec)

    def _free(self, instance: Instance) -> None:
        instance.terminate()
        _backend("elbv2", instance).notify_terminate_instances([instance.id])

    def _exited(self, instance_id: str) -> None:
        """A machine ended that nobody had stopped: what EC2 calls an instance-initiated shutdown."""
        instance = self._instances.get(instance_id)
        if instance is None:
            return
        machine = self._driver.describe(instance_id)
        reason = machine.exit_reason if machine else "ended"
        logger.warning("%s: its machine ended by itself (%s)", instance_id, reason)
        with self._lock:
            if instance.state not in ("pending", "running"):
                return
            _set(instance, "stopped")
            instance.state_reason = StateReason(
                f"Client.InstanceInitiatedShutdown: the machine ended by itself: {reason}",
                "Client.InstanceInitiatedShutdown",
            )
        self.on_change()

    def _spec(self, instance: Instance) -> MachineSpec:
        user_data = instance.user_data
        return MachineSpec(
            instance_id=instance.id,
            image_id=instance.image_id,
            address=str(instance.private_ip_address),
            zone=str(instance.availability_zone),
            region_name=instance.ec2_backend.region_name,
            user_data=user_data.decode() if user_data else "",
            environment=self._environment(instance),
        )


def _set(instance: Instance, state: str) -> None:
    # moto offers no setter.
    instance._state.name = state
    instance._state.code = STATES[state]


def _backend(service: Any, instance: Instance) -> Any:
    return get_backend(service)[instance.owner_id][instance.ec2_backend.region_name]
