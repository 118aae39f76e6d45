"""Faults under a steady load: how long until all is as before, and how many requests failed meanwhile."""

import http.client
import os
import select
import signal
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.commands import CommandError, say
from bench.fleet import Fleet
from bench.report import Table, median_and_worst
from bench.session import Session
from homeport.region.journal import Entry
from tests.e2e.load import Load

RATE = 200
"""Requests a second."""
_LEAD = RATE
"""Requests before the fault and after the recovery: one second's."""
_DEADLINE = 120.0
_STEADY = 11.0
"""Seconds that a HAProxy must have run for the region to restart it at once, and a little more."""


@dataclass
class Fault:
    """What one kind of fault did, a value for each run."""

    name: str
    healed: list[float] = field(default_factory=list)
    """Seconds until the full capacity was healthy again, or HAProxy answered."""
    failed: list[int] = field(default_factory=list)
    sent: int = 0

    def row(self) -> tuple[str, ...]:
        failed = ", ".join(str(count) for count in self.failed)
        return (self.name, *median_and_worst(self.healed), failed, str(self.sent))


def measure(session: Session) -> list[Table]:
    """Kill one instance, all of them, and HAProxy, each several times."""
    fleet = session.fleet()
    count = len(fleet.look().held)
    one, everything = Fault("one instance: full capacity is healthy"), Fault(f"all {count}: full capacity is healthy")
    answers, balancer = Fault(f"all {count}: something answers again"), Fault("HAProxy: it answers again")
    for number in range(1, session.runs + 1):
        say(f"run {number} of {session.runs}: one instance, all of them, HAProxy")
        _kill_instances(fleet, 1, one, None)
        _kill_instances(fleet, count, everything, answers)
        answers.failed, answers.sent = everything.failed, everything.sent
        _kill_balancer(fleet, balancer)
    rows = tuple(fault.row() for fault in (one, answers, everything, balancer))
    note = (
        f"After `kill -9` of the process groups, under {RATE} requests a second through the balancer; {session.runs} "
        "runs each. The balancer checks every 5 s and counts a target out or in after two checks (the local "
        "environment's settings)."
    )
    columns = ("killed", "median s", "worst s", "failed requests, each run", "of all")
    return [Table("Healing", columns, rows, note)]


def _kill_instances(fleet: Fleet, count: int, fault: Fault, answers: Fault | None) -> None:
    fleet.wait_whole()
    pids = {entry.id: entry for entry in fleet.running("instance")}
    victims = sorted(fleet.look().held)[:count]
    with Load(fleet.url, rate=RATE) as load:
        load.wait_for(_LEAD)
        began = time.monotonic()
        for victim in victims:
            os.killpg(pids[victim].pid, signal.SIGKILL)
        if answers:
            _wait_gone([pids[victim] for victim in victims])
            answers.healed.append(_wait_answer(fleet.url) - began)
        while not (look := fleet.look()).whole or not look.held.isdisjoint(victims):
            if time.monotonic() > began + _DEADLINE:
                raise CommandError(f"not healed after {_DEADLINE:g} s: {look}")
            time.sleep(0.1)
        fault.healed.append(time.monotonic() - began)
        load.wait_for(_LEAD)
    _count(fault, load)


def _kill_balancer(fleet: Fleet, fault: Fault) -> None:
    fleet.wait_whole()
    victim = fleet.running("balancer")[0]
    with Load(fleet.url, rate=RATE) as load:
        load.wait_for(round(_STEADY * RATE))
        began = time.monotonic()
        handle = os.pidfd_open(victim.pid)
        try:
            os.kill(victim.pid, signal.SIGKILL)
            select.select([handle], [], [], _DEADLINE)
        finally:
            os.close(handle)
        fault.healed.append(_wait_answer(fleet.url) - began)
        load.wait_for(_LEAD)
    _count(fault, load)


def _count(fault: Fault, load: Load) -> None:
    fault.failed.append(load.failed)
    fault.sent += load.total


def _wait_gone(entries: list[Entry]) -> None:
    while any(entry.running for entry in entries):
        time.sleep(0.005)


def _wait_answer(url: str) -> float:
    """Return the moment of the first good answer."""
    parts = urlsplit(url)
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
        try:
            connection.request("GET", parts.path)
            if connection.getresponse().status == http.client.OK:
                return time.monotonic()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.01)
    raise CommandError(f"{url} did not answer within {_DEADLINE:g} s")
