"""The addresses of this host that a region may use."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from homeport.errors import HomeportError
from homeport.region.machines.container.network import ContainerNetwork
from homeport.system.ranges import Ranges

RANGES = Ranges((IPv4Network("10.64.0.0/16"), IPv4Network("10.65.0.0/16")), frozenset(["10.64.0.1"]))


@pytest.mark.parametrize("address", ["10.64.0.4", "10.65.255.254"])
def test_an_address_inside_may_be_had(address):
    RANGES.check(address, "a machine")


@pytest.mark.parametrize("address", ["10.66.0.1", "192.168.77.126", "127.0.0.1", "10.64.0.1"])
def test_one_outside_or_kept_may_not(address):
    with pytest.raises(HomeportError, match=address) as caught:
        RANGES.check(address, "a machine")
    assert "a machine" in caught.value.message
    assert caught.value.next_step


@pytest.mark.parametrize("network", ["10.64.16.0/20", "10.65.0.0/16"])
def test_a_network_inside_may_be_used(network):
    RANGES.check_network(IPv4Network(network), "a subnet")


@pytest.mark.parametrize("network", [IPv4Network("10.64.0.0/15"), IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/64")])
def test_one_that_is_not_wholly_inside_may_not(network):
    with pytest.raises(HomeportError, match=r"10\.64\.0\.0/16 and 10\.65\.0\.0/16"):
        RANGES.check_network(network, "a subnet")


def test_a_bridge_is_given_no_address_of_another_network():
    """Whoever asks: the host would answer for a neighbour of its LAN."""
    network = ContainerNetwork("homeport-x", "hp-none", IPv4Network("10.64.0.0/16"), IPv4Network("10.65.0.0/16"))
    with pytest.raises(HomeportError, match=r"192\.168\.77\.126: .* outside|192\.168\.77\.126"):
        network.add_address("192.168.77.126")
    with pytest.raises(HomeportError, match="the region's own"):
        network.add_address("10.64.0.1")
