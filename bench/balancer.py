"""The region's own HAProxy with a listener in front of each server, without a region around it."""

import contextlib
import time
from collections.abc import Iterator, Mapping

from bench.commands import CommandError
from bench.session import Session, free_port
from homeport.region import processes
from homeport.region.balancer.balancer import Balancer
from homeport.region.balancer.model import Forward, HealthCheck, Listener, LoadBalancer, Rule, Target, TargetGroup
from homeport.region.clock import Clock

_ADDRESS = "127.0.0.1"
_HEALTHY_SECONDS = 30.0


@contextlib.contextmanager
def balancer(session: Session, ports: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Run it until the block ends; yields a listener's port for each of the servers' names."""
    fronts = {name: free_port() for name in ports}
    # The peers know one path only.
    check = HealthCheck(path="/users/alice/balance", interval=5, healthy_threshold=2)
    groups = tuple(
        TargetGroup(name, name, "HTTP", port, check, (Target(name, _ADDRESS, port, ""),))
        for name, port in ports.items()
    )
    listeners = tuple(
        Listener(name, front, "HTTP", (Rule(name, 1, (), Forward(((name, 1),))),)) for name, front in fronts.items()
    )
    folder = session.folder("balancer")
    one = Balancer(
        "bench",
        folder,
        Clock(),
        environment=processes.marks("bench", session.root),
        records=_NoRecords(),
        on_change=lambda: None,
    )
    try:
        one.apply(LoadBalancer("bench", "bench", _ADDRESS, listeners, groups))
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while not _all_healthy(one):
            if time.monotonic() > deadline:
                raise CommandError(f"the balancer's targets are not healthy: {one.health()}")
            time.sleep(0.1)
        yield fronts
    finally:
        one.close(stop=True)


def _all_healthy(one: Balancer) -> bool:
    health = [state for targets in one.health().values() for state in targets.values()]
    return bool(health) and all(target.state == "healthy" for target in health)


class _NoRecords:
    """The block itself ends the process."""

    def record(self, kind: str, entry_id: str, pid: int, address: str) -> None:
        """Write nothing."""

    def forget(self, kind: str, entry_id: str) -> None:
        """Forget nothing."""
