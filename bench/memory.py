"""Resident memory: RSS counts shared pages in full, PSS each process's share of them (proc(5), smaps_rollup)."""

import re
from pathlib import Path

from bench.commands import CommandError
from bench.report import Table
from bench.session import Session
from homeport.system import processes
from tests.e2e.load import Load

_REQUESTS = 400
"""Sent first: what a process needs for its first answers counts as its own."""


def measure(session: Session) -> list[Table]:
    """Measure a fleet that has answered some requests."""
    fleet = session.fleet()
    with Load(fleet.url, rate=200) as load:
        load.wait_for(_REQUESTS)
    rows = []
    for kind, name in (("instance", "instance {}"), ("balancer", "HAProxy of the load balancer"), ("region", "region")):
        for number, entry in enumerate(fleet.running(kind), 1):
            # A process group's leader and its workers are one machine.
            members = [stat.pid for stat in processes.session_members(entry.pid)]
            rss, pss = (sum(_kib(pid, field) for pid in members) / 1024 for field in ("Rss", "Pss"))
            rows.append((name.format(number), str(len(members)), f"{rss:.1f}", f"{pss:.1f}"))
    return [Table("Memory, MiB", ("process", "processes", "RSS", "PSS"), tuple(rows))]


def _kib(pid: int, field: str) -> int:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError as error:
        raise CommandError(f"memory of process {pid} cannot be read: {error.strerror}") from error
    return int(found[1]) if found else 0
