"""The loop that makes load balancers so, and what groups may know of their targets."""

import logging
import threading

from homeport.errors import HomeportError
from homeport.region.backoff import Backoff
from homeport.region.elbv2 import view
from homeport.region.elbv2.registry import Registry
from homeport.region.haproxy.balancers import Balancers
from homeport.region.journal import Entry, Journal
from homeport.system import processes

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""Between two looks without a call of the API: deregistration delays end by themselves."""


class Balancing:
    """Reads what the API holds, with moto's lock, and lets ``Balancers`` do it, without."""

    def __init__(self, registry: Registry, balancers: Balancers, lock: threading.RLock) -> None:
        self._registry = registry
        self._balancers = balancers
        self._lock = lock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._failures: dict[str, str] = {}
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="balancing", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: the API changed something."""
        self._wake.set()

    def close(self) -> None:
        """Stop changing balancers; they go on."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)
        self._balancers.detach()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(max(TICK_SECONDS, self._backoff.remaining("pass")))
            self._wake.clear()
            try:
                with self._lock:
                    wanted = view.load_balancers(self._registry)
                faults = self._balancers.apply(wanted)
            except Exception as error:
                if self._backoff.failed("pass", repr(error)):
                    logger.exception("load balancers: pass failed, tried again and again")
                continue
            self._backoff.ok("pass")
            self._tell(faults)

    def _tell(self, faults: dict[str, HomeportError]) -> None:
        for arn, error in faults.items():
            if self._failures.get(arn) != error.message:
                logger.error("%s: %s%s", arn, error.message, f"\n{error.log}" if error.log else "")
        for arn in self._failures.keys() - faults.keys():
            logger.info("%s: has all that it shall have again", arn)
        self._failures = {arn: error.message for arn, error in faults.items()}


class Targets:
    """What a group's controller asks of the balancers about its instances."""

    def __init__(self, balancers: Balancers) -> None:
        self._balancers = balancers

    def unhealthy(self, target_group: str, instance_id: str) -> str:
        """Return why the target fails its health checks, or nothing."""
        for (target_id, _), health in self._balancers.health(target_group).items():
            if target_id == instance_id and health.state == "unhealthy":
                return health.description or health.reason
        return ""

    def drained(self, target_group: str, instance_id: str) -> bool:
        """Return whether a deregistered target has no request in flight any more.

        Only once the balancer says that it drains: until then it may still be given requests.
        """
        seen = self._balancers.health(target_group)
        return all(
            health.state == "draining" and self._balancers.in_flight(target_group, target_id, port) == 0
            for (target_id, port), health in seen.items()
            if target_id == instance_id
        )


class BalancerRecords:
    """Writes HAProxy's processes into the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def record(self, kind: str, entry_id: str, pid: int, address: str) -> None:
        """Write down a process."""
        self._journal.record(Entry(kind, entry_id, address, pid, processes.start_time(pid) or 0))

    def forget(self, kind: str, entry_id: str) -> None:
        """Remove an entry."""
        self._journal.forget(kind, entry_id)
