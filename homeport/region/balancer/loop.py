"""The loop that makes load balancers so: it reads them under moto's lock, and applies them without."""

import logging
import threading
from contextlib import AbstractContextManager
from typing import Any

from homeport.errors import HomeportError
from homeport.region.balancer import view
from homeport.region.balancer.registry import Registry
from homeport.region.balancer.supervisor import Balancers

logger = logging.getLogger(__name__)

TICK = 0.5
"""Real seconds after which it looks again without being woken: instances stop, and targets have drained."""


class BalancerLoop:
    """Runs one thread; also tells the controller of groups how their targets are (its ``Targets``)."""

    def __init__(self, registry: Registry, balancers: Balancers, lock: AbstractContextManager[Any]) -> None:
        self._registry = registry
        self._balancers = balancers
        self._lock = lock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._said: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="balancers", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: something changed."""
        self._wake.set()

    def close(self) -> None:
        """Stop the loop; balancers go on."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)

    def failures(self) -> dict[str, str]:
        """Return what keeps load balancers from being as the API says, by ARN."""
        return dict(self._said)

    def unhealthy(self, target_group: str, instance_id: str) -> str:
        """Return why a target fails its health checks, or nothing."""
        for (target_id, _), health in self._balancers.health(target_group).items():
            if target_id == instance_id and health.state == "unhealthy":
                return health.description
        return ""

    def drained(self, target_group: str, instance_id: str) -> bool:
        """Return whether a deregistered target has no request in flight any more.

        False also while the balancer has not yet been told that it drains.
        """
        for (target_id, port), health in self._balancers.health(target_group).items():
            if target_id != instance_id:
                continue
            if health.state != "draining" or self._balancers.in_flight(target_group, target_id, port):
                return False
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(TICK)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self._pass()
            except Exception:
                logger.exception("a pass over the load balancers failed, the next one follows")

    def _pass(self) -> None:
        with self._lock:
            wanted = view.load_balancers(self._registry)
        failures = self._balancers.apply(wanted)
        said = {arn: _text(error) for arn, error in failures.items()}
        for arn, text in said.items():
            if self._said.get(arn) != text:
                logger.warning("%s", text)
        self._said = said


def _text(error: HomeportError) -> str:
    return "\n".join(filter(None, (error.message, error.log, error.next_step)))
