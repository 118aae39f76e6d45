"""Between the EC2 API and the driver: what EC2 says of an instance is what its machine does."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from homeport.errors import HomeportError
from homeport.region.backoff import Backoff
from homeport.region.ec2 import interfaces
from homeport.region.from_moto import private
from homeport.region.from_moto.core import get_backend
from homeport.region.from_moto.ec2 import Instance, StateReason
from homeport.region.machines.driver import Driver, MachineSpec
from homeport.system.ranges import Ranges

logger = logging.getLogger(__name__)

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""EC2's state names and codes."""
UNKNOWN = "unknown"
"""What is said of an instance instead, when nothing is known of its machine."""

STOP_GRACE_SECONDS = 30.0
"""How long a machine may take to shut down; longer than a service's own drain."""

Attach = Callable[[Instance], None]


@dataclass
class _Record:
    """An instance and what is wanted of its machine; ``busy`` while a thread works on it."""

    instance: Instance
    wanted: str = "running"
    restart: bool = False
    busy: bool = False
    retry: threading.Timer | None = None
    """Set while a step that failed waits for its next try."""
    ended_because: StateReason | None = None
    """Why it is terminated, when it was not a user who asked for that."""


class Machines:
    """Makes instances real, one step at a time for each; moto's instances are touched with moto's lock held only.

    The driver stops a machine before the API frees its address: a new instance may get it at once.
    """

    def __init__(
        self,
        driver: Driver,
        lock: threading.RLock,
        *,
        ranges: Ranges,
        environment: Callable[[Instance], dict[str, str]],
        attach: Attach,
        detach: Attach,
        backoff: Backoff | None = None,
    ) -> None:
        """``attach`` and ``detach`` start and end what an instance needs beside it (its metadata service).

        ``ranges`` holds the addresses that machines may have.
        """
        self.ranges = ranges
        self._driver = driver
        self._lock = lock
        self._environment = environment
        self._attach = attach
        self._detach = detach
        self._records: dict[str, _Record] = {}
        self._addresses: dict[str, str] = {}
        """Instance id by the address that its machine has now."""
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._backoff = backoff or Backoff()
        # Apart: machines that take their whole grace to stop must not keep others from starting.
        self._starting = ThreadPoolExecutor(max_workers=8, thread_name_prefix="machine-start")
        self._stopping = ThreadPoolExecutor(max_workers=32, thread_name_prefix="machine-stop")
        self.on_change: Callable[[], None] = lambda: None
        driver.on_exit(self._exited)

    # The next five are called with moto's lock held, and return at once.

    def launch(self, instance: Instance) -> None:
        """Start an instance's machine in the background."""
        _set(instance, "pending")
        self._want(instance, "running")

    def stop(self, instance: Instance) -> None:
        """Stop a machine in the background."""
        _set(instance, "stopping")
        self._want(instance, "stopped")

    def terminate(self, instance: Instance) -> None:
        """Stop a machine for good in the background, then free its address."""
        _set(instance, "shutting-down")
        self._want(instance, "terminated")

    def reboot(self, instance: Instance) -> None:
        """Stop and start a machine in the background; EC2 calls it running all the while."""
        self._want(instance, "running", restart=True)

    def state(self, instance_id: str) -> str:
        """Return EC2's state of an instance; ``UNKNOWN`` for one without a record, whose machine may well run."""
        record = self._records.get(instance_id)
        return record.instance.state if record else UNKNOWN

    def why(self, instance_id: str) -> str:
        """Return why an instance does not run, in a line, or nothing."""
        record = self._records.get(instance_id)
        return (record.instance.state_reason.message or "") if record else ""

    def console(self, instance_id: str, lines: int = 200) -> list[str]:
        """Return the last lines of a machine's console."""
        return self._driver.logs(instance_id, lines)

    # The next three work for as long as an image takes: without moto's lock.

    def create_image(self, instance_id: str, image_id: str) -> None:
        """Make an image of an instance's machine; raise ``HomeportError`` when the driver cannot."""
        self._driver.create_image(instance_id, image_id)

    def import_image(self, location: str, image_id: str) -> None:
        """Let ``image_id`` name what the driver finds at ``location``, or raise ``HomeportError``."""
        self._driver.import_image(location, image_id)

    def remove_image(self, image_id: str) -> None:
        """Forget an image; an unknown one is ignored."""
        self._driver.remove_image(image_id)

    def close(self) -> None:
        """Start and stop nothing any more; machines go on."""
        self._closing.set()
        with self._guard:
            for record in self._records.values():
                _cancel_retry(record)
        self._starting.shutdown(wait=True, cancel_futures=True)
        self._stopping.shutdown(wait=True, cancel_futures=True)

    def _want(self, instance: Instance, wanted: str, *, restart: bool = False) -> None:
        with self._guard:
            record = self._records.setdefault(instance.id, _Record(instance))
            if record.wanted == "terminated":
                return  # nothing brings it back, such as the reboot after an image was made of it
            record.wanted, record.restart = wanted, restart
            self._schedule(record)

    def _schedule(self, record: _Record) -> None:
        """Let a thread work on a record, unless one does: that one looks again when it is done."""
        if record.busy or self._closing.is_set():
            return
        _cancel_retry(record)
        record.busy = True
        starts = record.wanted == "running" and not record.restart
        (self._starting if starts else self._stopping).submit(self._work, record)

    def _work(self, record: _Record) -> None:
        with self._guard:
            wanted, restart = record.wanted, record.restart
            record.restart = False
        failure: Exception | None = None
        try:
            failure = self._end(record, wanted) if wanted != "running" or restart else None
            if failure is None and wanted == "running":
                self._start(record.instance)
        except Exception as error:  # noqa: BLE001  told by _fail
            self._fail(record, error)
        finally:
            # Whatever went wrong: a record that stays busy could never be terminated.
            with self._guard:
                record.busy = False
                record.restart = record.restart or (restart and failure is not None)
                if record.wanted != wanted or (record.restart and failure is None):
                    self._schedule(record)
                elif failure is not None:
                    self._schedule_retry(record)
            self.on_change()

    def _schedule_retry(self, record: _Record) -> None:
        """Work on a record again later. No thread of a pool waits for that: others need them."""
        if self._closing.is_set():
            return

        def again() -> None:
            with self._guard:
                # Another request may have been quicker, and cancelled this one too late.
                if record.retry is timer:
                    self._schedule(record)

        timer = record.retry = threading.Timer(self._backoff.remaining(record.instance.id), again)
        timer.name, timer.daemon = f"machine-retry-{record.instance.id}", True
        timer.start()

    def _end(self, record: _Record, wanted: str) -> Exception | None:
        """Stop a machine, for good when ``terminated`` is wanted, and return what kept it from its end."""
        instance = record.instance
        try:
            self._driver.stop(instance.id, grace=STOP_GRACE_SECONDS)
            if wanted == "terminated":
                self._driver.discard(instance.id)
            if wanted != "running":
                self._release(instance)
                with self._lock:
                    if wanted == "terminated":
                        self._free(record)
                    elif instance.state == "stopping":
                        instance.stop()
        except Exception as error:  # noqa: BLE001  told below, and tried again
            self._tell(instance, wanted, error)
            return error
        if self._backoff.ok(instance.id):
            logger.info("%s: is %s at last", instance.id, "stopped" if wanted == "running" else wanted)
            with self._lock:
                if instance.state == "running":
                    instance.state_reason = StateReason()
        return None

    def _tell(self, instance: Instance, wanted: str, error: Exception) -> None:
        """Say once, in the log and in the API, why a machine cannot be stopped."""
        message = _message(error)
        if self._backoff.failed(instance.id, message):
            first = self._backoff.times(instance.id) == 1
            aim = "rebooted" if wanted == "running" else wanted
            logger.error(
                "%s: cannot be %s, tried again: %s", instance.id, aim, message, exc_info=error if first else None
            )
        with self._lock:
            if instance.state != "terminated":
                instance.state_reason = _internal_error(message)

    def _start(self, instance: Instance) -> None:
        with self._lock:
            if instance.state not in ("pending", "running"):
                return
            spec = self._spec(instance)
        with self._guard:
            holder = self._addresses.setdefault(spec.address, instance.id)
        if holder != instance.id:
            raise HomeportError(f"address {spec.address} is {holder}'s: two VPCs share a range, and one machine cannot")
        self._driver.check(spec)
        self._attach(instance)
        self._driver.launch(spec)
        with self._lock:
            # It may have ended meanwhile, or somebody terminated it.
            if instance.state == "pending":
                _set(instance, "running")

    def _fail(self, record: _Record, error: Exception) -> None:
        """Give up an instance that cannot be launched, as EC2 does: it is terminated, and says why."""
        instance = record.instance
        with self._guard:
            # One that was stopped before has left something, which goes as that of any other.
            record.wanted = "terminated"
        message = _message(error)
        console = self._driver.logs(instance.id, 5)
        logger.warning("%s: cannot be launched: %s", instance.id, "\n  ".join([message, *console]))
        self._release(instance)
        with self._lock:
            if instance.state != "shutting-down":
                record.ended_because = _internal_error(message)
                self._free(record)

    def _release(self, instance: Instance) -> None:
        """Give up what an instance has beside its machine, unless another one has its address."""
        with self._guard:
            held = self._addresses.get(str(instance.private_ip_address)) == instance.id
            if held:
                del self._addresses[str(instance.private_ip_address)]
        if held:
            self._detach(instance)

    def _free(self, record: _Record) -> None:
        """Free an instance's address and volumes; moto takes each end for one that a user asked for."""
        instance = record.instance
        if instance.state != "terminated":
            interfaces.let_go(instance)
            instance.terminate()
            if record.ended_because:
                private.set_state_reason(instance, record.ended_because)
            _backend("elbv2", instance).notify_terminate_instances([instance.id])

    def _exited(self, instance_id: str) -> None:
        """A machine ended that nobody had stopped: what EC2 calls an instance-initiated shutdown.

        Protection against termination concerns the API only, in EC2 too.
        """
        record = self._records.get(instance_id)
        if record is None:
            return
        machine = self._driver.describe(instance_id)
        reason = machine.exit_reason if machine else "ended"
        logger.warning("%s: its machine ended by itself (%s)", instance_id, reason)
        with self._lock:
            instance = record.instance
            if instance.state not in ("pending", "running"):
                return
            instance.state_reason = StateReason(
                f"Client.InstanceInitiatedShutdown: the machine ended by itself: {reason}",
                "Client.InstanceInitiatedShutdown",
            )
            if instance.instance_initiated_shutdown_behavior == "terminate":
                record.ended_because = instance.state_reason
                self.terminate(instance)
            else:
                _set(instance, "stopped")
        self.on_change()

    def _spec(self, instance: Instance) -> MachineSpec:
        user_data = instance.user_data
        return MachineSpec(
            instance_id=instance.id,
            image_id=instance.image_id,
            address=str(instance.private_ip_address),
            zone=str(instance.availability_zone),
            region_name=instance.ec2_backend.region_name,
            # moto holds it in base64: it may be compressed, and need not be text.
            user_data=str(user_data) if user_data else "",
            environment=self._environment(instance),
        )


def _cancel_retry(record: _Record) -> None:
    if record.retry:
        record.retry.cancel()
        record.retry = None


def _internal_error(message: str) -> StateReason:
    return StateReason(f"Server.InternalError: {message}", "Server.InternalError")


def _message(error: Exception) -> str:
    return error.message if isinstance(error, HomeportError) else f"{type(error).__name__}: {error}"


def _set(instance: Instance, state: str) -> None:
    private.set_state(instance, state, STATES[state])


def _backend(service: Any, instance: Instance) -> Any:
    return get_backend(service)[instance.owner_id][instance.ec2_backend.region_name]
