"""The network of a region whose machines are containers: a Docker bridge, its addresses, its packet filter rules.

Rules carry the region's name as a comment, so that they are found again by it. The network itself goes last:
it is labelled with the state folder, and as long as it is there a sweep knows what else to look for.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from homeport.errors import HomeportError
from homeport.region.machines.container import engine
from homeport.system.processes import PROC
from homeport.system.ranges import Ranges

FIRST_RANGE = 64
LAST_RANGE = 254
METADATA_ADDRESS = "169.254.169.254"
METADATA_PORT = 80
REGION_LABEL = "homeport.region"
STATE_LABEL = "homeport.state"


@dataclass(frozen=True)
class ContainerNetwork:
    """A region's network, as long as it exists; ``network`` is the VPC's range, ``default_vpc`` the one beside it."""

    name: str
    bridge: str
    network: IPv4Network
    default_vpc: IPv4Network

    @property
    def gateway(self) -> str:
        """The host's address in it: the first, which AWS keeps for its router."""
        return str(self.network[1])

    @property
    def ranges(self) -> Ranges:
        """The addresses that machines and load balancers may have."""
        return Ranges((self.network, self.default_vpc), frozenset([self.gateway]))

    def redirect_metadata(self, region_id: str, port: int) -> None:
        """Let machines find their metadata service, which listens on the gateway's ``port``, where AWS has it.

        And let nobody in from outside: what listens in the range is for this host and its machines.
        """
        for rule in _rules(region_id, self, port):
            engine.run(["iptables", "-w", "-t", rule[0], "-I", *rule[1:]])

    def add_address(self, address: str) -> None:
        """Give the host an address of the range, for a load balancer; raise ``HomeportError`` for any other."""
        self.ranges.check(address, "a load balancer")
        engine.run(["ip", "address", "replace", f"{address}/32", "dev", self.bridge])

    def remove_address(self, address: str) -> None:
        """Take a load balancer's address away; one that is not there is no error."""
        engine.run(["ip", "address", "delete", f"{address}/32", "dev", self.bridge], absent_is_fine=True)


def create(client: docker.APIClient, region_id: str, state_root: Path) -> ContainerNetwork:
    """Make the network of a region in the first free ``10.N.0.0/15``; raise ``HomeportError`` when none is free."""
    taken = list(_taken(client))
    for number in range(FIRST_RANGE, LAST_RANGE + 1, 2):
        whole = IPv4Network(f"10.{number}.0.0/15")
        if any(whole.overlaps(one) for one in taken):
            continue
        first, second = whole.subnets(1)
        found = ContainerNetwork(f"homeport-{region_id}", bridge_name(region_id), first, second)
        try:
            _create(client, found, whole, {REGION_LABEL: region_id, STATE_LABEL: str(state_root.resolve())})
        except APIError as error:
            if "overlaps" in str(error.explanation):
                continue  # another region was quicker
            raise HomeportError(
                f"Docker cannot make the network {found.name}: {error.explanation}", next_step="docker network ls"
            ) from error
        return found
    raise HomeportError(
        f"no range from 10.{FIRST_RANGE}.0.0/15 to 10.{LAST_RANGE}.0.0/15 is free for the machines' network",
        next_step="ip route; docker network ls; another region: homeport region down",
    )


def bridge_name(region_id: str) -> str:
    """Return the bridge's name, which the kernel limits to 15 characters."""
    return f"hp-{region_id}"


def remove(client: docker.APIClient, name: str) -> None:
    """Remove a region's network; one that is not there is no error."""
    with engine.explained(f"remove the network {name}"):
        try:
            client.remove_network(name)
        except NotFound:
            return


def remove_rules(region_id: str) -> int:
    """Remove a region's packet filter rules and return how many there were."""
    removed = 0
    for table in ("nat", "filter"):
        for line in engine.run(["iptables", "-w", "-t", table, "-S"]).splitlines():
            words = shlex.split(line)
            if _comment(region_id) in words and words[0] == "-A":
                engine.run(["iptables", "-w", "-t", table, "-D", *words[1:]])
                removed += 1
    return removed


def _create(client: docker.APIClient, network: ContainerNetwork, whole: IPv4Network, labels: dict[str, str]) -> None:
    client.create_network(
        network.name,
        driver="bridge",
        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(whole), gateway=network.gateway)]),
        options={"com.docker.network.bridge.name": network.bridge},
        labels=labels,
    )


def _rules(region_id: str, network: ContainerNetwork, port: int) -> Iterator[list[str]]:
    mark = ["-m", "comment", "--comment", _comment(region_id)]
    inside = ["-i", network.bridge]
    asked = ["-d", METADATA_ADDRESS, "-p", "tcp", "--dport", str(METADATA_PORT)]
    yield ["nat", "PREROUTING", *inside, *asked, *mark, "-j", "REDIRECT", "--to-ports", str(port)]
    outside = ["!", "-i", network.bridge, "-m", "addrtype", "!", "--src-type", "LOCAL"]
    for one in (network.network, network.default_vpc):
        yield ["filter", "INPUT", *outside, "-d", str(one), *mark, "-j", "DROP"]


def _comment(region_id: str) -> str:
    return f"homeport region {region_id}"


def _taken(client: docker.APIClient) -> Iterator[IPv4Network]:
    """Yield the ranges that this host routes somewhere, and those of Docker's networks, used or not."""
    for line in (PROC / "net" / "route").read_text().splitlines()[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[number])[::-1]) for number in (1, 7))
        if mask:
            yield IPv4Network((destination, mask.bit_count()))
    with engine.explained("list Docker's networks"):
        networks: list[dict[str, Any]] = client.networks()
    for one in networks:
        for pool in (one.get("IPAM") or {}).get("Config") or []:
            range_ = ip_network(pool.get("Subnet", "0.0.0.0/32"))
            if isinstance(range_, IPv4Network):
                yield range_
