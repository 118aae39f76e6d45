"""All load balancers of a region, each with a HAProxy of its own."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region.clock import Clock
from homeport.region.haproxy.balancer import Balancer, Records
from homeport.region.haproxy.model import LoadBalancer, TargetHealth
from homeport.region.haproxy.quoting import identifier
from homeport.system.files import remove_tree

_log = logging.getLogger(__name__)


class NoRecords:
    """For whoever keeps no journal."""

    def record(self, kind: str, entry_id: str, pid: int, address: str) -> None:
        """Write nothing."""

    def forget(self, kind: str, entry_id: str) -> None:
        """Forget nothing."""


class Balancers:
    """Makes load balancers real, and tells how their targets are.

    Calls may come from several threads. ``on_change`` is called, from a thread of a balancer and with no
    lock held, when a target's health changed; ``environment`` is given to every HAProxy, so that a sweep
    can find it.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        environment: Mapping[str, str] | None = None,
        records: Records | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._environment = dict(environment or {})
        self._records = records or NoRecords()
        self._on_change = on_change
        self._applying = threading.Lock()
        self._balancers: dict[str, Balancer] = {}
        self._faults: dict[str, HomeportError] = {}

    def apply(self, load_balancers: Sequence[LoadBalancer]) -> dict[str, HomeportError]:
        """Make exactly these load balancers run; return what failed, by ARN.

        Of one that fails the faulty parts keep doing what they did before, and nothing else is disturbed. Applying
        the same again costs nothing.
        """
        failures: dict[str, HomeportError] = {}
        with self._applying:
            wanted = {one.arn: one for one in load_balancers}
            for arn in self._balancers.keys() - wanted.keys():
                self._balancers[arn].close(stop=True)
                remove_tree(self._folder / folder_name(arn))
                del self._balancers[arn]
            for arn, load_balancer in wanted.items():
                try:
                    self._balancer(load_balancer).apply(load_balancer)
                except HomeportError as error:
                    failures[arn] = error
            self._faults = failures
        return failures

    def faults(self) -> dict[str, HomeportError]:
        """Return what cannot be had of load balancers, by ARN, as last applied; never waits."""
        return self._faults

    def health(self, target_group_arn: str) -> dict[tuple[str, int], TargetHealth]:
        """Return the health of a target group's targets by id and port; empty when no listener uses it."""
        for balancer in list(self._balancers.values()):
            if found := balancer.health().get(target_group_arn):
                return found
        return {}

    def in_flight(self, target_group_arn: str, target_id: str, port: int) -> int:
        """Return how many requests run on a target now."""
        return sum(one.in_flight(target_group_arn, target_id, port) for one in list(self._balancers.values()))

    def counters(self) -> dict[str, dict[str, Counter[str]]]:
        """Return raw counters by load balancer ARN, then by frontend (``port-80``) or target group ARN.

        They only grow, also over reloads and restarts. Columns as in HAProxy's ``show stat``.
        """
        return {arn: one.counters() for arn, one in list(self._balancers.items())}

    def pids(self) -> dict[str, list[int]]:
        """Return the running processes by load balancer ARN, the one that takes new connections first."""
        return {arn: one.pids() for arn, one in list(self._balancers.items())}

    def close(self) -> None:
        """End all of them."""
        self._close(stop=True)

    def detach(self) -> None:
        """Stop watching; the HAProxies go on."""
        self._close(stop=False)

    def _close(self, *, stop: bool) -> None:
        with self._applying:
            for balancer in self._balancers.values():
                balancer.close(stop=stop)
            self._balancers.clear()

    def _balancer(self, load_balancer: LoadBalancer) -> Balancer:
        known = self._balancers.get(load_balancer.arn)
        if known is None:
            known = self._balancers[load_balancer.arn] = Balancer(
                load_balancer.name,
                self._folder / folder_name(load_balancer.arn),
                self._clock,
                environment=self._environment,
                records=self._records,
                on_change=self._on_change,
            )
        return known


def folder_name(arn: str) -> str:
    """Return the folder of a load balancer: its name and the id that ends its ARN."""
    parts = arn.split("/")
    if len(parts) >= 3 and all(part.replace("-", "").isalnum() for part in parts[-2:]):
        return "-".join(parts[-2:])
    return identifier(arn, readable=arn)
