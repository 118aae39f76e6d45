"""Adds up what the processes of one balancer count, over reloads and restarts."""

from collections import Counter
from collections.abc import Iterable, Mapping

from homeport.region.haproxy.config import BETWEEN_HOPS, SECOND_HOP
from homeport.region.haproxy.health import check_result, is_up
from homeport.region.haproxy.runtime import Row

COUNTERS = (
    *("stot", "req_tot", "bin", "bout", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx"),
    *("econ", "eresp", "wretr", "wredis", "cli_abrt", "srv_abrt", "chkfail", "chkdown"),
)
"""The columns of ``show stat`` that only grow."""
_TOTALS = ("FRONTEND", "BACKEND")


class Statistics:
    """Counters that only grow, by frontend (``port-80``) and target group ARN."""

    def __init__(self) -> None:
        self._totals: dict[str, Counter[str]] = {}
        self._seen: dict[int, dict[str, Counter[str]]] = {}

    def add(self, pid: int, rows: Iterable[Row], groups: Mapping[str, str]) -> None:
        """Add what the process ``pid`` has counted since it was last read; ``groups`` maps backends to ARNs."""
        now: dict[str, Counter[str]] = {}
        for row in rows:
            if row["svname"] in _TOTALS and not row["pxname"].startswith((BETWEEN_HOPS, SECOND_HOP)):
                backend = row["pxname"].removeprefix("open-")
                counter = now.setdefault(groups.get(backend, backend), Counter())
                counter.update({column: int(row.get(column) or 0) for column in COUNTERS})
        before = self._seen.get(pid, {})
        for name, counter in now.items():
            total = self._totals.setdefault(name, Counter())
            for column, value in counter.items():
                total[column] += max(0, value - before.get(name, Counter())[column])
        self._seen[pid] = now

    def forget(self, pid: int) -> None:
        """Forget a process that has ended; what it counted stays."""
        self._seen.pop(pid, None)

    def totals(self) -> dict[str, Counter[str]]:
        """Return a copy of all counters."""
        return {name: Counter(counter) for name, counter in self._totals.items()}


def sessions(rows: Iterable[Row]) -> Counter[str]:
    """Return the requests that run now by ``backend/server``, both backends of a group taken together."""
    found: Counter[str] = Counter()
    for row in rows:
        if row["svname"] not in _TOTALS:
            found[f"{row['pxname'].removeprefix('open-')}/{row['svname']}"] += int(row["scur"] or 0)
    return found


def idle(rows: Iterable[Row]) -> bool:
    """Return whether a replaced process has no client left."""
    return all(int(row["scur"] or 0) == 0 for row in rows)


def unread(row: Row, seen: Row | None) -> bool:
    """Return whether a line says less of the last check than the one before.

    That is so in a new process that has not checked yet, and while the next check runs.
    """
    if seen is None or is_up(row) != is_up(seen):
        return False
    return row["check_status"].startswith("*") or check_result(row) in ("", "UNK", "INI")
