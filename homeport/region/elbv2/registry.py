"""What moto does not keep of load balancers: their addresses, and targets that drain."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from homeport.region.clock import Clock
from homeport.region.ec2 import addressing
from homeport.region.from_moto.elbv2 import ELBClientError

HIGHEST_HOST = 250
"""Of a subnet's last /24: instances get their addresses from the bottom."""


@dataclass
class Registration:
    """One target of a group, by id and port; ``draining_until`` from its deregistration on."""

    target_id: str
    port: int
    zone: str = ""
    draining_until: datetime | None = None


@dataclass
class Registry:
    """Guarded by the lock that guards moto."""

    clock: Clock
    addresses: dict[str, str] = field(default_factory=dict)
    """Of load balancers, by ARN."""
    targets: dict[str, dict[tuple[str, int], Registration]] = field(default_factory=dict)
    """By target group ARN, then by id and port."""

    def register(self, group_arn: str, target_id: str, port: int, zone: str) -> None:
        """Add a target, or take one that drains back."""
        self.targets.setdefault(group_arn, {})[target_id, port] = Registration(target_id, port, zone)

    def deregister(self, group_arn: str, target_id: str, port: int | None, delay: float) -> None:
        """Let a target drain for ``delay`` of AWS's seconds, on all its ports unless one is given.

        One that is not registered, or drains already, is left as it is: AWS answers that with success.
        """
        group = self.targets.get(group_arn, {})
        until = self.clock.now() + timedelta(seconds=self.clock.real(delay))
        for key, registration in list(group.items()):
            if target_id != registration.target_id or port not in (None, registration.port):
                continue
            if delay <= 0:
                del group[key]
            elif registration.draining_until is None:
                registration.draining_until = until

    def current(self, group_arn: str) -> list[Registration]:
        """Return a group's targets; those that have drained are forgotten."""
        group = self.targets.get(group_arn, {})
        now = self.clock.now()
        for key, registration in list(group.items()):
            if registration.draining_until is not None and registration.draining_until <= now:
                del group[key]
        return list(group.values())

    def forget(self, group_arn: str, target_id: str) -> None:
        """Forget a target: its instance is terminated."""
        group = self.targets.get(group_arn, {})
        for key in [key for key in group if key[0] == target_id]:
            del group[key]

    def take_address(self, load_balancer: Any) -> str:
        """Give a load balancer an address of its first subnet and return it; instances cannot get it any more."""
        subnet = load_balancer.subnets[0]
        taken = addressing.holders(subnet.ec2_backend)
        for address in _from_the_top(subnet.cidr):
            if address not in taken and address not in self.addresses.values():
                subnet.request_ip(address, load_balancer)
                self.addresses[load_balancer.arn] = address
                return address
        raise ELBClientError("InvalidSubnet", f"Not enough IP space available in {subnet.id}.")

    def free_address(self, load_balancer: Any) -> str:
        """Take a load balancer's address back and return it, empty when it had none."""
        address = self.addresses.pop(load_balancer.arn, "")
        for subnet in load_balancer.subnets:
            if address and ipaddress.ip_address(address) in subnet.cidr:
                subnet.del_subnet_ip(address)
        return address


def _from_the_top(network: ipaddress.IPv4Network) -> Iterator[str]:
    top = int(network.broadcast_address)
    if network.num_addresses >= 256:
        top = top - 255 + HIGHEST_HOST
    # The first four addresses of a subnet, and its last, are AWS's own.
    for number in range(min(top, int(network.broadcast_address) - 1), int(network.network_address) + 3, -1):
        yield str(ipaddress.ip_address(number))
