"""One part of a load balancer that cannot be had: the others do what they shall, and it is told once."""

import contextlib
import socket
from dataclasses import replace

import httpx
import pytest
from balancing import BALANCER, GROUP, target

from homeport.region.haproxy import balancer
from homeport.region.haproxy.config import render
from homeport.region.haproxy.model import FixedResponse, Forward, HealthCheck, Redirect, Rule, TargetGroup
from tests.polling import eventually

OTHER = GROUP.replace("balance", "other")


def status(place, port):
    try:
        return httpx.get(f"http://{place.address}:{port}/", timeout=20, trust_env=False).status_code
    except httpx.TransportError:
        return None


def saying(listener, number):
    return replace(listener, rules=(Rule("default", 99999, (), FixedResponse(number)),))


FAULTS = {
    "a certificate that is none": lambda one: replace(one, protocol="HTTPS", certificate_pem="nonsense"),
    "a protocol that is none": lambda one: replace(one, protocol="GOPHER"),
    "a redirect with another status": lambda one: replace(one, rules=(Rule("r", 99999, (), Redirect(307)),)),
    "a body that is too long": lambda one: replace(
        one, rules=(Rule("r", 99999, (), FixedResponse(200, body="x" * 1025)),)
    ),
}


@pytest.fixture
def good(balancers, place, states):
    """A load balancer with two listeners that works."""
    one = place.load_balancer([target(place.app())])
    first = one.listeners[0]
    one = replace(one, listeners=(first, saying(replace(first, arn="second", port=place.free_port()), 404)))
    assert balancers.apply([one]) == {}
    eventually(lambda: set(states().values()) == {"healthy"})
    assert (status(place, first.port), status(place, one.listeners[1].port)) == (200, 404)
    return one


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["new", "changed"])
def test_a_faulty_listener_leaves_the_others_working(balancers, place, good, fault, kind):
    first, second = good.listeners
    if kind == "new":
        faulty = FAULTS[fault](replace(first, arn="third", port=place.free_port()))
        wanted = replace(good, listeners=(first, saying(second, 410), faulty))
    else:
        faulty = FAULTS[fault](second)
        wanted = replace(good, listeners=(saying(first, 410), faulty))
    failures = balancers.apply([wanted])
    assert f"listener on port {faulty.port}: " in failures[BALANCER].message
    assert balancers.faults() == failures
    changed, kept = (second, first) if kind == "new" else (first, second)
    eventually(lambda: status(place, changed.port) == 410)
    assert status(place, kept.port) == (200 if kind == "new" else 404)
    # What follows is carried out too, and targets come and go.
    app = place.app()
    more = (*good.target_groups[0].targets, target(app))
    later = replace(wanted, target_groups=(replace(good.target_groups[0], targets=more),))
    assert balancers.apply([later]).keys() == {BALANCER}
    eventually(lambda: len(balancers.health(GROUP)) == 2)
    assert balancers.apply([good]) == {}
    assert balancers.faults() == {}
    eventually(lambda: (status(place, first.port), status(place, second.port)) == (200, 404))


def test_a_faulty_group_stays_as_it_was_with_the_targets_of_now(balancers, place, good):
    first, second = good.listeners
    faulty = replace(good.target_groups[0], health_check=HealthCheck(matcher="nonsense"), targets=())
    added = TargetGroup(OTHER, "other", "HTTP", 8000, HealthCheck())
    forward = (Rule("default", 99999, (), Forward(((OTHER, 1),))),)
    wanted = replace(good, listeners=(first, replace(second, rules=forward)), target_groups=(faulty, added))
    failures = balancers.apply([wanted])
    assert "target group balance: " in failures[BALANCER].message
    eventually(lambda: status(place, first.port) == 503, what="its target is gone")
    eventually(lambda: status(place, second.port) == 503, what="the other group has none")


def test_what_fails_for_ever_is_not_tried_on_each_pass(balancers, place, good, monkeypatch):
    listener = replace(good.listeners[0], arn="third", port=place.free_port(), protocol="GOPHER")
    wanted = replace(good, listeners=(*good.listeners, listener))
    tried = []
    monkeypatch.setattr(balancer, "render", lambda *given: tried.append(given) or render(*given))
    assert balancers.apply([wanted]).keys() == {BALANCER}
    once = len(tried)
    for _ in range(20):
        assert balancers.apply([wanted]).keys() == {BALANCER}
    assert len(tried) == once
    eventually(lambda: balancers.apply([wanted]) and len(tried) > once, what="it is tried again")


def test_the_same_refusal_reads_the_same(balancers, place, good):
    faulty = FAULTS["a certificate that is none"](replace(good.listeners[0], arn="third", port=place.free_port()))
    wanted = replace(good, listeners=(*good.listeners, faulty))
    first = balancers.apply([wanted])[BALANCER]
    assert balancers.apply([good]) == {}
    assert balancers.apply([wanted])[BALANCER].message == first.message


def test_a_balancer_of_which_nothing_works_begins_with_what_does(balancers, place):
    app = place.app()
    one = place.load_balancer([target(app)])
    bad = replace(one.listeners[0], arn="bad", protocol="GOPHER", port=place.free_port())
    assert balancers.apply([replace(one, listeners=(bad,))]).keys() == {BALANCER}
    assert balancers.apply([replace(one, listeners=(bad, one.listeners[0]))]).keys() == {BALANCER}
    eventually(lambda: status(place, one.listeners[0].port) == 200)


def test_a_port_that_is_taken_is_had_once_it_is_free(balancers, place, good):
    with contextlib.closing(socket.create_server((place.address, 0))) as taken:
        listener = saying(replace(good.listeners[0], arn="third", port=taken.getsockname()[1]), 410)
        wanted = replace(good, listeners=(*good.listeners, listener))
        assert "is taken: process" in balancers.apply([wanted])[BALANCER].message
    eventually(lambda: balancers.apply([wanted]) == {})
    eventually(lambda: status(place, listener.port) == 410)
