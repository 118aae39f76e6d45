"""Faults under a steady load: how long until all is as before, and how many requests failed meanwhile."""

import http.client
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
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
_CLIENTS = 100
"""Connections: so many requests may wait for an answer before the load itself slows down."""
_LEAD = RATE
"""Requests before the fault and after the recovery: one second's."""
_DEADLINE = 120.0
_PATIENCE = 0.1
"""Seconds that a probe waits: HAProxy holds a request for a second before it tries a refused target again."""
_STEADY = 10.5
"""Seconds that a HAProxy must have run for the region to start it again without waiting, and a little more."""
_SETTLED = 63.0
"""The same for an instance: one that fails younger (a minute in service) counts as a failed
launch, and AWS's back-off slows the next."""


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
    for _ in range(session.runs):
        _kill_instances(fleet, 1, one, None)
    # While the instances come of age.
    for _ in range(session.runs):
        _kill_balancer(fleet, balancer)
    for _ in range(session.runs):
        _kill_instances(fleet, count, everything, answers)
    answers.failed, answers.sent = everything.failed, everything.sent
    rows = tuple(fault.row() for fault in (one, answers, everything, balancer))
    note = (
        f"After `kill -9` of the process groups, under {RATE} requests a second through the balancer; {session.runs} "
        f"runs each. What is killed had run for a minute: after an earlier failure a group waits, as "
        f"AWS's does. HAProxy takes the load's {_CLIENTS} open connections with it; each counts as a failed request."
    )
    columns = ("killed", "median s", "worst s", "failed requests, each run", "of all")
    return [Table("Healing", columns, rows, note)]


def _kill_instances(fleet: Fleet, count: int, fault: Fault, answers: Fault | None) -> None:
    fleet.wait_whole()
    # The oldest: the others may have replaced an earlier victim.
    victims = sorted(fleet.running("instance"), key=lambda entry: entry.start_time)[:count]
    _wait_age(victims, _SETTLED)
    gone = {victim.id for victim in victims}
    with ThreadPoolExecutor(max_workers=1) as pool, Load(fleet.url, rate=RATE, threads=_CLIENTS) as load:
        load.wait_for(_LEAD)
        began = time.monotonic()
        for victim in victims:
            os.killpg(victim.pid, signal.SIGKILL)
        if answers:
            _wait_gone(victims)
            first = pool.submit(_wait_answer, fleet.url)
        while not (look := fleet.look()).whole or not look.held.isdisjoint(gone):
            if time.monotonic() > began + _DEADLINE:
                raise CommandError(f"not healed after {_DEADLINE:g} s: {look}")
            time.sleep(0.1)
        fault.healed.append(time.monotonic() - began)
        if answers:
            answers.healed.append(first.result() - began)
        load.wait_for(_LEAD)
    _count(fault, load)


def _kill_balancer(fleet: Fleet, fault: Fault) -> None:
    fleet.wait_whole()
    victims = fleet.running("balancer")[:1]
    _wait_age(victims, _STEADY)
    with Load(fleet.url, rate=RATE, threads=_CLIENTS) as load:
        load.wait_for(_LEAD)
        began = time.monotonic()
        os.kill(victims[0].pid, signal.SIGKILL)
        _wait_gone(victims)
        fault.healed.append(_wait_answer(fleet.url) - began)
        load.wait_for(_LEAD)
    _count(fault, load)


def _wait_age(entries: list[Entry], seconds: float) -> None:
    """Wait until the processes have run so long; their start is counted in ticks since boot (proc(5))."""
    youngest = max(entry.start_time for entry in entries) / os.sysconf("SC_CLK_TCK")
    missing = seconds - (time.clock_gettime(time.CLOCK_BOOTTIME) - youngest)
    if missing > 0:
        say(f"wait {missing:.0f} s: what is killed next must have run for {seconds:.0f} s")
        time.sleep(missing)


def _count(fault: Fault, load: Load) -> None:
    fault.failed.append(load.failed)
    fault.sent += load.total
    say(f"{fault.name} after {fault.healed[-1]:.2f} s; {load.failed} of {load.total} requests failed")


def _wait_gone(entries: list[Entry]) -> None:
    while any(entry.running for entry in entries):
        time.sleep(0.005)


def _wait_answer(url: str) -> float:
    """Return the moment of the first good answer."""
    parts = urlsplit(url)
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE)
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
