"""The region's own HAProxy in front of a server, without a region around it."""

import contextlib
import time
from collections.abc import Iterator

from bench.commands import CommandError
from bench.session import Session, free_port
from homeport.region.clock import Clock
from homeport.region.haproxy.balancer import Balancer
from homeport.region.haproxy.model import Forward, HealthCheck, Listener, LoadBalancer, Rule, Target, TargetGroup
from homeport.system import processes

_ADDRESS = "127.0.0.1"
_HEALTHY_SECONDS = 30.0


@contextlib.contextmanager
def balancer(session: Session, port: int) -> Iterator[int]:
    """Run one in front of a server's port until the block ends; yields the listener's port."""
    front = free_port()
    # The peers know one path only.
    check = HealthCheck(path="/users/alice/balance", interval=5, healthy_threshold=2)
    group = TargetGroup("bench", "bench", "HTTP", port, check, (Target("bench", _ADDRESS, port, ""),))
    listener = Listener("bench", front, "HTTP", (Rule("bench", 1, (), Forward((("bench", 1),))),))
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
        one.apply(LoadBalancer("bench", "bench", _ADDRESS, (listener,), (group,)))
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while not _all_healthy(one):
            if time.monotonic() > deadline:
                raise CommandError(f"the balancer's targets are not healthy: {one.health()}")
            time.sleep(0.1)
        yield front
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
