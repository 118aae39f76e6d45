import contextlib
import os
import socket
import subprocess
import sys
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.system import addresses

# Far from where regions begin, so that a live one beside the tests is never met.
FIRST, LAST = 210, 240


@pytest.fixture
def claim():
    with addresses.claim_network(FIRST, LAST) as claim:
        yield claim


def listen(address, port=0, family=socket.AF_INET):
    listener = socket.create_server((address, port), family=family)
    return contextlib.closing(listener)


def test_two_claims_get_two_ranges(claim):
    with addresses.claim_network(FIRST, LAST) as second:
        assert not second.network.overlaps(claim.network)


def test_a_closed_claim_is_free_again():
    # A range that tests running beside this one do not look at.
    number = LAST + 1 + os.getpid() % (addresses.LAST_RANGE - LAST)
    for _ in range(2):
        with addresses.claim_network(number, number) as claim:
            assert str(claim.network) == f"127.{number}.0.0/16"


def test_a_range_in_which_anything_lives_is_passed_over(claim):
    number = int(str(claim.network).split(".")[1])
    claim.close()
    for kind, family, address in [
        (socket.SOCK_STREAM, socket.AF_INET, f"127.{number}.3.7"),
        (socket.SOCK_DGRAM, socket.AF_INET, f"127.{number}.255.254"),
        (socket.SOCK_STREAM, socket.AF_INET6, f"::ffff:127.{number}.9.9"),
    ]:
        with contextlib.closing(socket.socket(family, kind)) as survivor:
            survivor.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                survivor.listen()
            with pytest.raises(HomeportError, match="no range"):
                addresses.claim_network(number, number)
            with addresses.claim_network(number, LAST) as other:
                assert str(other.network) != f"127.{number}.0.0/16"


def test_many_that_start_at_once_all_get_their_own():
    code = (
        "import sys; from homeport.system.addresses import claim_network; "
        f"c = claim_network({FIRST}, {LAST}); print(c.network, flush=True); sys.stdin.read()"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    try:
        networks = [ip_network(process.stdout.readline().strip()) for process in running]
        assert len(set(networks)) == len(networks)
    finally:
        for process in running:
            process.communicate(timeout=20)


def test_a_taken_port_names_its_holder(claim):
    address = str(claim.network[4])
    addresses.ensure_free(address, 8080)
    with listen(address) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(HomeportError, match=rf"port {port} .* process {os.getpid()} \(.*python.* listens on"):
            addresses.ensure_free(address, port)
    addresses.ensure_free(address, port)
    assert addresses.port_holder(address, port) is None


@pytest.mark.parametrize(("everywhere", "family"), [("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)])
def test_a_listener_on_every_address_is_found(claim, everywhere, family):
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("no dual-stack IPv6 here")
    listener = socket.create_server((everywhere, 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
    with contextlib.closing(listener):
        port = listener.getsockname()[1]
        holder = addresses.port_holder(str(claim.network[4]), port)
        assert (holder.address, holder.pid) == (everywhere, os.getpid())
        with pytest.raises(HomeportError, match="is taken"):
            addresses.ensure_free(str(claim.network[4]), port)


def test_a_bound_port_without_a_listener_is_taken_too(claim):
    with contextlib.closing(socket.socket()) as bound:
        bound.bind((str(claim.network[4]), 0))
        with pytest.raises(HomeportError, match="does not listen"):
            addresses.ensure_free(*bound.getsockname())


def test_a_foreign_address_is_no_place_to_listen():
    with pytest.raises(HomeportError, match="cannot listen on"):
        addresses.ensure_free("192.0.2.1", 8080)


@settings(deadline=None)
@given(st.ip_addresses())
def test_addresses_are_read_as_the_kernel_prints_them(address):
    packed = address.packed
    text = "".join(packed[start : start + 4][::-1].hex().upper() for start in range(0, len(packed), 4))
    mapped = getattr(address, "ipv4_mapped", None)
    assert addresses._address(text) == str(mapped or address)
