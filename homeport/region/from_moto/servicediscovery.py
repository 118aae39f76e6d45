"""What the region takes from moto's servicediscovery."""

from moto.servicediscovery.responses import ServiceDiscoveryResponse

__all__ = [
    "ServiceDiscoveryResponse",
]
