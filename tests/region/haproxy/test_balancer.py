"""A real HAProxy in front of small real servers."""

import contextlib
import http.client
import os
import signal
import socket
import threading
from dataclasses import replace

import httpx
import pytest
from balancing import BALANCER, GROUP, target

from homeport.region.haproxy.model import Condition, FixedResponse, Redirect, Rule, TargetHealth
from homeport.system import processes
from tests.polling import eventually


def get(place, path="/", **arguments):
    return httpx.get(f"http://{place.address}:{place.port}{path}", timeout=20, trust_env=False, **arguments)


def apply(balancers, *load_balancers):
    assert balancers.apply(load_balancers) == {}


def test_a_balancer_without_targets_answers_503_as_aws_does(balancers, place):
    apply(balancers, place.load_balancer())

    answer = get(place)

    assert answer.status_code == 503
    assert answer.headers["server"] == "awselb/2.0"
    assert "<h1>503 Service Temporarily Unavailable</h1>" in answer.text


@pytest.mark.parametrize("running", [False, True])
def test_a_new_target_gets_no_request_before_its_first_passed_check_and_one_is_enough(
    balancers, place, states, running
):
    app = place.app()
    app.check_status = 503
    if running:
        apply(balancers, place.load_balancer(check={"unhealthy_threshold": 10, "interval": 30}))
    apply(balancers, place.load_balancer([target(app)], check={"unhealthy_threshold": 10, "interval": 30}))
    eventually(lambda: app.checks >= 2)
    assert states() == {"i-2": "initial"}
    assert get(place).status_code == 503

    app.check_status = 200
    eventually(lambda: states() == {"i-2": "healthy"})
    assert get(place).text == app.address
    assert app.checks < 10
    assert balancers.changes["change"] > 0


def test_a_target_added_later_waits_for_its_check_without_a_reload(balancers, place, states):
    first, second = place.app(), place.app()
    apply(balancers, place.load_balancer([target(first)]))
    eventually(lambda: states() == {"i-2": "healthy"})
    pids = balancers.pids()
    second.check_status = 500
    apply(balancers, place.load_balancer([target(first), target(second)]))
    while states() != {"i-2": "healthy", "i-3": "unhealthy"}:
        assert get(place).text == first.address
    assert {get(place).text for _ in range(6)} == {first.address}
    assert balancers.health(GROUP)["i-3", second.port] == TargetHealth(
        "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]"
    )

    second.check_status = 200
    eventually(lambda: states()["i-3"] == "healthy")
    assert {get(place).text for _ in range(6)} == {first.address, second.address}
    assert balancers.pids() == pids


def test_a_dead_target_is_unhealthy_with_a_reason(balancers, place, states):
    apply(balancers, place.load_balancer([place.dead_target()]))

    eventually(lambda: states() == {"i-dead": "unhealthy"})

    health = next(iter(balancers.health(GROUP).values()))
    assert (health.reason, health.description) == ("Target.FailedHealthChecks", "Health checks failed")


def test_a_silent_target_times_out_in_real_seconds(balancers, place, states):
    with socket.create_server((f"{place.prefix}.9", 0)) as silent:
        silent_target = replace(place.dead_target(), address=f"{place.prefix}.9", port=silent.getsockname()[1])
        apply(balancers, place.load_balancer([silent_target], check={"timeout": 1}))
        eventually(lambda: states() == {"i-dead": "unhealthy"})

    assert next(iter(balancers.health(GROUP).values())).reason == "Target.Timeout"


def test_requests_go_to_all_targets_when_none_is_healthy(balancers, place, states):
    apps = [place.app(), place.app()]
    for app in apps:
        app.check_status = 500
    apply(balancers, place.load_balancer([target(app) for app in apps]))
    eventually(lambda: set(states().values()) == {"unhealthy"})

    assert {get(place).text for _ in range(6)} == {app.address for app in apps}


def test_a_refused_connection_is_tried_elsewhere_and_answered_502_when_there_is_nowhere(balancers, place, states):
    app = place.app()
    apply(balancers, place.load_balancer([place.dead_target()]))
    eventually(lambda: states() == {"i-dead": "unhealthy"})
    answer = get(place)
    assert (answer.status_code, answer.headers["server"]) == (502, "awselb/2.0")

    app.check_status = 500
    apply(balancers, place.load_balancer([place.dead_target(), target(app)]))
    eventually(lambda: set(states().values()) == {"unhealthy"} and len(states()) == 2)
    assert {get(place).status_code for _ in range(4)} == {200}


@pytest.mark.parametrize("also_reload", [False, True])
def test_a_draining_target_finishes_its_requests_and_gets_no_new_one(balancers, place, states, also_reload):
    old, new = place.app(), place.app()
    apply(balancers, place.load_balancer([target(old)]))
    eventually(lambda: states() == {"i-2": "healthy"})
    answers = []
    slow = threading.Thread(target=lambda: answers.append(get(place, "/slow")))
    slow.start()
    assert old.entered.wait(10)
    apply(balancers, place.load_balancer([target(old), target(new)]))
    eventually(lambda: states()["i-3"] == "healthy")

    draining = place.load_balancer([target(old, draining=True), target(new)])
    apply(balancers, draining)
    if also_reload:
        apply(balancers, replace(draining, idle_timeout=61))
        assert len(balancers.pids()[BALANCER]) == 2
    assert states() == {"i-2": "draining", "i-3": "healthy"}
    assert {get(place).text for _ in range(6)} == {new.address}
    assert balancers.in_flight(GROUP, "i-2", old.port) == 1

    old.gate.set()
    slow.join()
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, old.address)]
    eventually(lambda: balancers.in_flight(GROUP, "i-2", old.port) == 0)
    apply(balancers, replace(place.load_balancer([target(new)]), idle_timeout=61 if also_reload else 60))
    assert states() == {"i-3": "healthy"}
    eventually(lambda: len(balancers.pids()[BALANCER]) == 1)
    assert old.requests == [("GET", "/slow")]


def test_a_target_that_comes_back_while_it_drains_is_checked_anew(balancers, place, states):
    app = place.app()
    apply(balancers, place.load_balancer([target(app)]))
    eventually(lambda: states() == {"i-2": "healthy"})
    apply(balancers, place.load_balancer([target(app, draining=True)]))
    app.check_status = 500
    apply(balancers, place.load_balancer([target(app)]))
    assert states() == {"i-2": "initial"}
    eventually(lambda: states() == {"i-2": "unhealthy"})
    app.check_status = 200
    eventually(lambda: states() == {"i-2": "healthy"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_a_dying_target_had_begun_gets_502_and_is_sent_to_no_other(balancers, place, states, method):
    apps = [place.app(), place.app()]
    apply(balancers, place.load_balancer([target(app) for app in apps]))
    eventually(lambda: set(states().values()) == {"healthy"})
    url = f"http://{place.address}:{place.port}/slow"
    answers = []
    slow = threading.Thread(target=lambda: answers.append(httpx.request(method, url, timeout=20, trust_env=False)))
    slow.start()
    eventually(lambda: any(app.entered.is_set() for app in apps))
    for app in apps:
        app.dying = "closed"
        app.gate.set()
    slow.join()

    assert [answer.status_code for answer in answers] == [502]
    assert sum(len(app.requests) for app in apps) == 1


def test_a_killed_haproxy_comes_back_with_what_it_knew(balancers, place, states):
    app, sick = place.app(), place.app()
    sick.check_status = 500
    apply(balancers, place.load_balancer([target(app), target(sick)], check={"interval": 100}))
    eventually(lambda: states() == {"i-2": "healthy", "i-3": "unhealthy"}, 30)
    (pid,) = balancers.pids()[BALANCER]
    os.kill(pid, signal.SIGKILL)

    eventually(lambda: balancers.pids()[BALANCER] not in ([pid], []))
    assert states() == {"i-2": "healthy", "i-3": "unhealthy"}
    assert {get(place).text for _ in range(6)} == {app.address}
    assert not sick.requests


def test_a_reload_keeps_health_and_idle_connections(balancers, place, states):
    app, sick, new = place.app(), place.app(), place.app()
    sick.check_status = new.check_status = 500
    check = {"interval": 100}
    load_balancer = place.load_balancer([target(app), target(sick)], check=check)
    apply(balancers, load_balancer)
    eventually(lambda: states() == {"i-2": "healthy", "i-3": "unhealthy"}, 30)
    client = http.client.HTTPConnection(place.address, place.port)
    with contextlib.closing(client):
        client.request("GET", "/")
        client.getresponse().read()
        before, connection = balancers.pids()[BALANCER], client.sock
        changed = place.load_balancer([target(app), target(sick), target(new)], check=check)
        apply(balancers, replace(changed, idle_timeout=61))
        assert balancers.pids()[BALANCER][0] not in before
        client.request("GET", "/")
        assert client.sock is connection
        assert client.getresponse().status == 200
    assert states() == {"i-2": "healthy", "i-3": "unhealthy", "i-4": "initial"}
    assert {get(place).text for _ in range(10)} == {app.address}
    eventually(lambda: states()["i-4"] == "unhealthy", 30)
    eventually(lambda: len(balancers.pids()[BALANCER]) == 1)
    assert not sick.requests
    assert not new.requests


def test_targets_change_under_load_without_a_failed_request(balancers, place, states):
    apps = [place.app() for _ in range(6)]
    apply(balancers, place.load_balancer([target(apps[0]), target(apps[1])]))
    eventually(lambda: states() == {"i-2": "healthy", "i-3": "healthy"})
    stop, statuses, failures = threading.Event(), [], []

    def load():
        while not stop.is_set():
            try:
                with httpx.Client(
                    base_url=f"http://{place.address}:{place.port}", timeout=20, trust_env=False
                ) as client:
                    statuses.extend(client.get("/").status_code for _ in range(5))
            except httpx.HTTPError as error:
                failures.append(repr(error))
            stop.wait(0.01)

    clients = [threading.Thread(target=load) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        for step in range(1, 5):
            staying = [target(apps[step])]
            idle_timeout = 60 + step % 2  # every other step is a reload as well
            for targets in (
                [target(apps[step - 1]), *staying, target(apps[step + 1])],
                [target(apps[step - 1], draining=True), *staying, target(apps[step + 1])],
                [*staying, target(apps[step + 1])],
            ):
                apply(balancers, replace(place.load_balancer(targets), idle_timeout=idle_timeout))
                eventually(lambda: set(states().values()) <= {"healthy", "draining"})
                going = [one for one in targets if one.draining]
                eventually(lambda: not any(balancers.in_flight(GROUP, one.target_id, one.port) for one in going))  # noqa: B023
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert failures == []
    assert set(statuses) == {200}
    assert all(app.requests for app in apps)


def test_headers_tell_the_target_who_asked(balancers, place, states):
    app = place.app()
    apply(balancers, place.load_balancer([target(app)]))
    eventually(lambda: states() == {"i-2": "healthy"})
    get(place)
    get(
        place, headers={"X-Forwarded-For": "203.0.113.7", "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678"}
    )

    first, second = app.headers
    assert first["X-Forwarded-For"] == "127.0.0.1"
    assert (first["X-Forwarded-Proto"], first["X-Forwarded-Port"]) == ("http", str(place.port))
    assert len(first["X-Amzn-Trace-Id"]) == len("Root=1-67891233-abcdef012345678912345678")
    assert second.get_all("X-Forwarded-For") == ["203.0.113.7", "127.0.0.1"]
    assert second["X-Amzn-Trace-Id"].startswith("Self=1-")
    assert second["X-Amzn-Trace-Id"].endswith(";Root=1-67891233-abcdef012345678912345678")


@pytest.mark.parametrize(("kind", "cookie"), [("lb_cookie", "AWSALB"), ("app_cookie", "AWSALBAPP-0")])
def test_a_sticky_client_stays_until_its_target_drains(balancers, place, states, kind, cookie):
    apps = [place.app(), place.app()]
    for app in apps:
        app.response_headers = (("Set-Cookie", "session=1"),)
    sticky = {"stickiness_type": kind, "stickiness_cookie": "session"}
    apply(balancers, place.load_balancer([target(app) for app in apps], **sticky))
    eventually(lambda: set(states().values()) == {"healthy"})
    cookies = {cookie: get(place).cookies[cookie]}
    (address,) = {get(place, cookies=cookies).text for _ in range(6)}
    (home,) = [app for app in apps if app.address == address]
    (other,) = [app for app in apps if app is not home]

    apply(balancers, place.load_balancer([target(home, draining=True), target(other)], **sticky))
    assert {get(place, cookies=cookies).text for _ in range(4)} == {other.address}


def test_rules_decide_in_the_order_of_their_priority(balancers, place, states):
    app = place.app()
    rules = [
        Rule("late", 20, (Condition("path-pattern", ("/a*",)),), FixedResponse(404, body="late")),
        Rule("early", 10, (Condition("path-pattern", ("/a?c", "/z")),), FixedResponse(400, "text/html", "<early>")),
        Rule("host", 30, (Condition("host-header", ("*.example.org",)),), FixedResponse(200, body="host")),
        Rule("method", 40, (Condition("http-request-method", ("PUT",)),), FixedResponse(200, body="method")),
        Rule("header", 50, (Condition("http-header", ("*Mosaic*",), "User-Agent"),), FixedResponse(200, body="header")),
        Rule("query", 60, (Condition("query-string", (), query=(("v", "1*"), ("", "all"))),), FixedResponse(204)),
        Rule(
            "both",
            70,
            (Condition("source-ip", ("127.0.0.0/8",)), Condition("path-pattern", ("/both",))),
            Redirect(301, protocol="HTTPS", port="443", path="/to/#{path}"),
        ),
        Rule("never", 80, (Condition("source-ip", ("192.0.2.0/24",)),), FixedResponse(500)),
    ]
    apply(balancers, place.load_balancer([target(app)], rules=rules))
    eventually(lambda: states() == {"i-2": "healthy"})

    assert (get(place, "/abc").status_code, get(place, "/abc").text) == (400, "<early>")
    assert get(place, "/abc").headers["content-type"] == "text/html"
    assert get(place, "/abcd").text == "late"
    assert get(place, "/z").text == "<early>"
    assert get(place, headers={"Host": "API.example.org:80"}).text == "host"
    assert httpx.put(f"http://{place.address}:{place.port}/", trust_env=False).text == "method"
    assert get(place, headers={"User-Agent": "ncsa mosaic 2"}).text == "header"
    assert get(place, "/?a=b&V=12").status_code == 204
    assert get(place, "/?x=all").status_code == 204
    assert get(place, "/?vv=1&x=ball").text == app.address
    answer = get(place, "/both?q=1&r=%20")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://{place.address}:443/to/both?q=1&r=%20"
    assert get(place, "/both").headers["location"] == f"https://{place.address}:443/to/both"


def test_a_taken_port_is_told_with_its_holder_and_the_rest_goes_on(balancers, place, states):
    app = place.app()
    good = place.load_balancer([target(app)])
    apply(balancers, good)
    eventually(lambda: states() == {"i-2": "healthy"})
    with socket.create_server((place.address, 0)) as taken:
        port = taken.getsockname()[1]
        listener = replace(good.listeners[0], arn="second", port=port)
        wanted = replace(good, listeners=(*good.listeners, listener))
        failures = balancers.apply([wanted])
        assert f"port {port} on {place.address} is taken: process {os.getpid()}" in failures[BALANCER].message
        assert get(place).status_code == 200
    eventually(lambda: balancers.apply([wanted]) == {}, what="the port is free and tried again")
    assert httpx.get(f"http://{place.address}:{port}/", trust_env=False).text == app.address
    apply(balancers, good)
    with socket.create_server((place.address, port)):
        assert get(place).status_code == 200


def test_what_haproxy_refuses_is_told_in_its_words_and_survives_no_crash(balancers, place, states):
    app = place.app()
    good = place.load_balancer([target(app)])
    apply(balancers, good)
    eventually(lambda: states() == {"i-2": "healthy"})
    listener = replace(
        good.listeners[0], arn="tls", port=place.free_port(), protocol="HTTPS", certificate_pem="nonsense"
    )
    failures = balancers.apply([replace(good, listeners=(*good.listeners, listener))])
    assert "[ALERT]" in failures[BALANCER].log
    (pid,) = balancers.pids()[BALANCER]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: balancers.pids()[BALANCER] not in ([pid], []))
    assert get(place).text == app.address


def test_one_balancer_leaves_the_other_alone_and_ends_without_a_trace(balancers, place, records, tmp_path):
    first = place.load_balancer()
    other = replace(first, arn=BALANCER + "0", listeners=(replace(first.listeners[0], port=place.free_port()),))
    apply(balancers, first, other)
    pids = balancers.pids()
    for number in range(3):
        apply(balancers, replace(first, idle_timeout=70 + number), other)
    assert balancers.pids()[other.arn] == pids[other.arn]
    eventually(lambda: len(balancers.pids()[first.arn]) == 1)
    (current,) = balancers.pids()[first.arn]
    assert sorted(records.entries.values()) == sorted((pid, place.address) for pid in (current, *pids[other.arn]))
    assert current in {found.pid for found in processes.find_marked(balancers.mark)}
    assert processes.read_stat(current).session == current

    apply(balancers, other)
    assert processes.start_time(current) is None
    balancers.close()
    assert records.entries == {}


def test_counters_only_grow(balancers, place, states):
    app = place.app()
    apply(balancers, place.load_balancer([target(app)]))
    eventually(lambda: states() == {"i-2": "healthy"})
    for _ in range(3):
        get(place)
    eventually(lambda: balancers.counters()[BALANCER].get(GROUP, {}).get("hrsp_2xx") == 3)
    apply(balancers, replace(place.load_balancer([target(app)]), idle_timeout=61))
    for _ in range(2):
        get(place)
    eventually(lambda: balancers.counters()[BALANCER][GROUP]["hrsp_2xx"] == 5)
    assert balancers.counters()[BALANCER][f"port-{place.port}"]["hrsp_2xx"] == 5
    assert set(balancers.counters()[BALANCER]) == {f"port-{place.port}", GROUP}
