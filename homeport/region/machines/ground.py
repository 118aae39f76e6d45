"""What a region stands on, by driver: a range of addresses and who makes machines in it."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from homeport.errors import HomeportError
from homeport.region import access
from homeport.region.journal import Entry, Journal
from homeport.region.machines.container import engine
from homeport.region.machines.container import network as networks
from homeport.region.machines.container.driver import ContainerDriver
from homeport.region.machines.driver import Driver
from homeport.region.machines.process.driver import ProcessDriver
from homeport.region.metadata.server import PORT as METADATA_PORT
from homeport.region.metadata.server import MetadataService, endpoint
from homeport.region.state import StateFolder
from homeport.system.addresses import claim_network
from homeport.system.ranges import Ranges


class Ground(Protocol):
    """The network under a region and its driver."""

    @property
    def network(self) -> IPv4Network:
        """The range that a VPC gets."""

    @property
    def default_vpc(self) -> IPv4Network | None:
        """The range of the account's default VPC, None to leave moto's, in which no machine can be."""

    @property
    def ranges(self) -> Ranges:
        """The addresses that machines, load balancers and metadata services may have."""

    @property
    def driver(self) -> Driver:
        """Who makes the machines."""

    def api_addresses(self) -> Sequence[str]:
        """Return where the API listens beside 127.0.0.1."""

    def serve_metadata(self, metadata: MetadataService) -> None:
        """Let machines reach their metadata."""

    def environment(self, address: str, api_port: int, /) -> dict[str, str]:
        """Return how the machine at ``address`` finds the region."""

    def add_address(self, address: str) -> None:
        """Make a load balancer's address one of this host's; raise ``HomeportError`` for one outside ``ranges``."""

    def remove_address(self, address: str) -> None:
        """Take it away; one that is not there is no error."""

    def close(self) -> None:
        """Let go; machines go on."""


class LoopbackGround:
    """For processes: a range of loopback addresses, which are all there without anybody's doing."""

    default_vpc = None

    def __init__(self, state: StateFolder, region_id: str) -> None:
        self._claim = claim_network()
        self.network = self._claim.network
        self.ranges = Ranges((self.network,))
        self.driver = ProcessDriver(state, region_id, self.network)

    def api_addresses(self) -> Sequence[str]:
        """Return none: machines reach 127.0.0.1."""
        return ()

    def serve_metadata(self, metadata: MetadataService) -> None:
        """Do nothing: each machine's address has a listener of its own."""

    def environment(self, address: str, api_port: int, /) -> dict[str, str]:
        """Return endpoints on loopback addresses."""
        return {
            "AWS_ENDPOINT_URL": access.endpoint(api_port),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint(address),
        }

    def add_address(self, address: str) -> None:
        """Check only: loopback addresses are all there."""
        self.ranges.check(address, "a load balancer")

    def remove_address(self, address: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Let another region have the range."""
        self._claim.close()
        self.driver.close()


class BridgeGround:
    """For containers: a Docker network of the region's own, on whose gateway this host answers the machines."""

    def __init__(self, state: StateFolder, region_id: str) -> None:
        engine.check_host()
        self._region_id = region_id
        journal = Journal(state.journal)
        # First the intent: a sweep then knows that there may be something in Docker.
        entry = Entry("network", region_id, extra={"bridge": networks.bridge_name(region_id)})
        journal.record(entry)
        client = engine.connect()
        try:
            self._network = networks.create(client, region_id, Path(state.root))
        finally:
            client.close()
        self.network = self._network.network
        self.default_vpc = self._network.default_vpc
        self.ranges = self._network.ranges
        journal.record(Entry("network", region_id, str(self.network), extra=dict(entry.extra)))
        self.driver = ContainerDriver(state, region_id, self._network)

    def api_addresses(self) -> Sequence[str]:
        """Return the gateway: a machine's 127.0.0.1 is its own."""
        return (self._network.gateway,)

    def serve_metadata(self, metadata: MetadataService) -> None:
        """Listen on the gateway, and send there what machines ask of the address that AWS has."""
        metadata.listen(self._network.gateway, METADATA_PORT)
        self._network.redirect_metadata(self._region_id, METADATA_PORT)

    def environment(self, _address: str, api_port: int, /) -> dict[str, str]:
        """Return the API's endpoint; metadata is where every instance of EC2 finds it."""
        return {"AWS_ENDPOINT_URL": f"http://{self._network.gateway}:{api_port}"}

    def add_address(self, address: str) -> None:
        """Put the address on the bridge."""
        self._network.add_address(address)

    def remove_address(self, address: str) -> None:
        """Take it off the bridge."""
        self._network.remove_address(address)

    def close(self) -> None:
        """Stop watching the machines."""
        self.driver.close()


def prepare(driver: str, state: StateFolder, region_id: str) -> Ground:
    """Return the ground for a driver, made; raise ``HomeportError`` when there is none such, or it cannot be."""
    if driver == "process":
        return LoopbackGround(state, region_id)
    if driver == "container":
        return BridgeGround(state, region_id)
    raise HomeportError(f"there is no driver {driver}", next_step="--driver process, or --driver container")
