"""The addresses that a program may use on this host: its own ranges, and nobody else's."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from homeport.errors import HomeportError


@dataclass(frozen=True)
class Ranges:
    """Networks that are one region's own. What lies outside of them may be another program's, or a whole LAN."""

    networks: tuple[IPv4Network, ...]
    kept: frozenset[str] = frozenset()
    """Addresses in them that nobody gets, such as the gateway."""

    def check(self, address: str, what: str) -> None:
        """Raise ``HomeportError`` unless ``what`` may have the address."""
        if address in self.kept:
            raise HomeportError(f"{what} cannot have {address}: it is the region's own", next_step="take another one")
        if not any(IPv4Address(address) in one for one in self.networks):
            raise self._outside(what, address)

    def check_network(self, network: IPv4Network | IPv6Network, what: str) -> None:
        """Raise ``HomeportError`` unless ``what`` may have any address of the network."""
        if not any(isinstance(network, IPv4Network) and network.subnet_of(one) for one in self.networks):
            raise self._outside(what, str(network))

    def _outside(self, what: str, where: str) -> HomeportError:
        names = " and ".join(str(one) for one in self.networks)
        return HomeportError(
            f"{what}: {where} is outside this region's {'ranges' if len(self.networks) > 1 else 'range'} {names}, "
            "and may be somebody else's on this machine",
            next_step=f"give the VPC a CIDR block inside {self.networks[0]}",
        )
