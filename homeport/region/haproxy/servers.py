"""Targets as servers of HAProxy: their names and options, the same on the socket and in the configuration."""

import ipaddress
from dataclasses import dataclass

from homeport.errors import HomeportError
from homeport.region.clock import Clock
from homeport.region.haproxy.model import LoadBalancer, Target, TargetGroup
from homeport.region.haproxy.quoting import identifier

WEIGHT = 100
"""Of every server: coarse enough to share evenly, fine enough for a slow start."""


@dataclass(frozen=True)
class Server:
    """One target in the two backends of its group: the checked one and, when all fail, the open one."""

    group_arn: str
    target: Target
    name: str
    backend: str
    open_backend: str
    options: str
    open_options: str
    slow_start: bool

    @property
    def place(self) -> str:
        """Return address and port as HAProxy writes them."""
        return f"{self.target.address}:{self.target.port}"

    @property
    def key(self) -> str:
        """Return what identifies the registration, whatever its state."""
        return f"{self.backend}/{self.name}"


def backend_name(group: TargetGroup) -> str:
    """Return the backend whose servers are checked."""
    return "tg-" + identifier(group.arn, readable=group.name)


def open_backend_name(group: TargetGroup) -> str:
    """Return the backend that takes the requests when every target is unhealthy."""
    return "open-" + backend_name(group)


def servers(load_balancer: LoadBalancer, clock: Clock) -> list[Server]:
    """Return all targets of a load balancer, draining ones included."""
    return [
        _server(group, target, clock)
        for group in load_balancer.target_groups
        for target in sorted(group.targets, key=lambda target: (target.target_id, target.port, target.address))
    ]


def milliseconds(period: float, clock: Clock) -> int:
    """Return an AWS period (seconds) as HAProxy counts it here; never 0, which would mean none."""
    return max(1, round(clock.real(period) * 1000))


def _server(group: TargetGroup, target: Target, clock: Clock) -> Server:
    try:
        address = str(ipaddress.ip_address(target.address))
    except ValueError:
        raise HomeportError(
            f"target {target.target_id!r} of {group.name} has no IP address: {target.address!r}"
        ) from None
    if not 1 <= target.port <= 65535:
        raise HomeportError(f"target {target.target_id!r} of {group.name} has port {target.port}")
    check = group.health_check
    words = [f"weight {WEIGHT}"]
    if group.protocol == "HTTPS":
        # AWS does not look at a target's certificate either.
        words.append("ssl verify none")
    open_options = " ".join(words)
    words.append(f"check inter {milliseconds(check.interval, clock)}")
    words.append(f"rise {int(check.healthy_threshold)} fall {int(check.unhealthy_threshold)}")
    if check.port != "traffic-port":
        words.append(f"port {_port(check.port)}")
    if check.protocol == "HTTPS" and group.protocol != "HTTPS":
        words.append("check-ssl verify none")
    if check.protocol != "HTTPS" and group.protocol == "HTTPS":
        words.append("no-check-ssl")
    if group.slow_start_seconds:
        words.append(f"slowstart {milliseconds(group.slow_start_seconds, clock)}")
    return Server(
        group_arn=group.arn,
        target=target,
        name=identifier(group.arn, target.target_id, address, str(target.port), readable=target.target_id),
        backend=backend_name(group),
        open_backend=open_backend_name(group),
        options=" ".join(words),
        open_options=open_options,
        slow_start=group.slow_start_seconds > 0,
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise HomeportError(f"health check port {text!r} is neither traffic-port nor a number from 1 to 65535")
