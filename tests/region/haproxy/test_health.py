"""What HAProxy's words for a server mean to the API."""

import pytest

from homeport.region.haproxy.health import Phase, target_health
from homeport.region.haproxy.statistics import Statistics, unread


def row(status, check="", code=""):
    return {"status": status, "check_status": check, "check_code": code}


@pytest.mark.parametrize(
    ("phase", "seen", "state", "reason"),
    [
        (Phase.NEW, None, "initial", "Elb.RegistrationInProgress"),
        (Phase.NEW, row("DRAIN", "INI"), "initial", "Elb.RegistrationInProgress"),
        (Phase.NEW, row("DRAIN", "L4CON"), "initial", "Elb.InitialHealthChecking"),
        (Phase.SERVING, row("UP", "L7OK", "200"), "healthy", ""),
        (Phase.SERVING, row("UP 1/2", "L7STS", "500"), "healthy", ""),
        (Phase.SERVING, row("DOWN 1/2", "L7OK", "200"), "unhealthy", "Target.FailedHealthChecks"),
        (Phase.SERVING, row("DOWN", "L7STS", "503"), "unhealthy", "Target.ResponseCodeMismatch"),
        (Phase.SERVING, row("DOWN", "* L7STS", "0"), "unhealthy", "Target.FailedHealthChecks"),
        (Phase.SERVING, row("DOWN", "L4CON"), "unhealthy", "Target.FailedHealthChecks"),
        (Phase.SERVING, row("DOWN", "* L7TOUT"), "unhealthy", "Target.Timeout"),
        (Phase.SERVING, row("DOWN", "L4TOUT"), "unhealthy", "Target.Timeout"),
        (Phase.DRAINING, row("MAINT"), "draining", "Target.DeregistrationInProgress"),
    ],
)
def test_states_and_reasons_are_those_of_the_api(phase, seen, state, reason):
    health = target_health(phase, seen)
    assert (health.state, health.reason) == (state, reason)
    assert bool(health.description) == bool(reason)


def test_a_check_that_runs_or_is_still_to_come_does_not_hide_the_last_result():
    failed = row("DOWN", "L7STS", "500")
    assert unread(row("DOWN", "* L7STS", "0"), failed)
    assert unread(row("DOWN", "INI"), failed)
    assert not unread(row("UP", "* L7OK", "200"), failed)
    assert not unread(row("DOWN", "L4CON"), failed)
    assert not unread(row("DRAIN", "INI"), None)


def test_counters_go_on_over_a_restart_and_with_a_process_that_is_replaced():
    def rows(count):
        return [
            {"pxname": "tg-a", "svname": "i-1", "stot": "99"},
            {"pxname": "tg-a", "svname": "BACKEND", "stot": str(count)},
            {"pxname": "open-tg-a", "svname": "BACKEND", "stot": "1"},
        ]

    statistics = Statistics()
    for pid, count in ((1, 5), (1, 7), (2, 0), (1, 8), (2, 4), (3, 2)):
        statistics.add(pid, rows(count), {"tg-a": "arn"})
    assert statistics.totals()["arn"]["stot"] == (8 + 1) + (4 + 1) + (2 + 1)
