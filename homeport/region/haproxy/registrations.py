"""What is known of a load balancer's targets, and which phase each is in; no input or output here."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from homeport.region.haproxy.health import Phase, is_up, passed, target_health
from homeport.region.haproxy.model import TargetHealth
from homeport.region.haproxy.runtime import Row
from homeport.region.haproxy.servers import Server
from homeport.region.haproxy.statistics import unread

Health = dict[str, dict[tuple[str, int], TargetHealth]]
"""By target group ARN, then by id and port."""


@dataclass
class Registration:
    """What is known of one server; ``row`` is its last line of ``show stat`` in the checked backend."""

    server: Server
    phase: Phase
    row: Row | None = None
    in_flight: int = 0


@dataclass
class Changes:
    """What a running HAProxy must be told; with ``returned`` it must be replaced instead."""

    added: list[Server] = field(default_factory=list)
    drained: list[Server] = field(default_factory=list)
    removed: list[Server] = field(default_factory=list)
    returned: bool = False


class Registrations:
    """All servers of one HAProxy, by backend and name."""

    def __init__(self, known: dict[str, Registration] | None = None) -> None:
        self._known = known or {}

    def copy(self) -> "Registrations":
        """Return the present state, to go back to when a change fails."""
        return Registrations({key: replace(one) for key, one in self._known.items()})

    def bring_in_line(self, servers: Iterable[Server]) -> Changes:
        """Register, drain and remove until exactly ``servers`` are left."""
        changes = Changes()
        wanted = {server.key: server for server in servers}
        for key, server in wanted.items():
            known = self._known.get(key)
            if known is None:
                self._known[key] = Registration(server, Phase.DRAINING if server.target.draining else Phase.NEW)
                changes.added.append(server)
                continue
            known.server = server
            if server.target.draining:
                if known.phase is not Phase.DRAINING:
                    changes.drained.append(server)
                known.phase = Phase.DRAINING
            elif known.phase in (Phase.DRAINING, Phase.REMOVED):
                # Its old check results must not count: it begins anew, in a new process.
                known.phase, known.row, changes.returned = Phase.NEW, None, True
        for key, known in self._known.items():
            if key not in wanted and known.phase is not Phase.REMOVED:
                changes.removed.append(known.server)
                known.phase = Phase.REMOVED
        return changes

    def read(self, rows: Iterable[Row]) -> None:
        """Take in what a process says of its servers."""
        for row in rows:
            known = self._known.get(f"{row['pxname']}/{row['svname']}")
            if known is not None and not unread(row, known.row):
                known.row = row

    def set_in_flight(self, running: Counter[str], *, unknown: int) -> None:
        """Note the requests that run, by ``backend/server``; ``unknown`` processes may each hold one of any server.

        Too long a drain harms less than a cut request.
        """
        for key, known in self._known.items():
            known.in_flight = running[key] + unknown

    def in_flight(self, group_arn: str, target_id: str, port: int) -> int:
        """Return how many requests run on a target, as last read."""
        wanted = (group_arn, target_id, port)
        return sum(
            one.in_flight
            for one in self._known.values()
            if (one.server.group_arn, one.server.target.target_id, one.server.target.port) == wanted
        )

    def passed_first(self) -> list[Registration]:
        """Return the new targets whose first check has passed."""
        return [one for one in self._in(Phase.NEW) if one.row is not None and is_up(one.row) and passed(one.row)]

    def failed_first(self) -> list[Registration]:
        """Return the new targets that failed as often as the unhealthy threshold says."""
        return [one for one in self._in(Phase.NEW) if one.row is not None and one.row["status"].startswith("DOWN")]

    def removed(self) -> list[Registration]:
        """Return what HAProxy must still let go of."""
        return self._in(Phase.REMOVED)

    def forget(self, one: Registration) -> None:
        """Forget a server that is gone."""
        self._known.pop(one.server.key, None)

    def forget_removed(self) -> None:
        """Forget what was on its way out: a new process never knew it."""
        for one in self.removed():
            self.forget(one)

    def waiting(self) -> bool:
        """Return whether something is about to change, so that looking more often is worth it."""
        return any(one.phase in (Phase.NEW, Phase.REMOVED) for one in self._known.values())

    def phase(self, server: Server) -> Phase:
        """Return a server's phase."""
        return self._known[server.key].phase

    def row(self, server: Server) -> Row | None:
        """Return what was last read of a server."""
        return self._known[server.key].row

    def health(self) -> Health:
        """Return what the API says of all targets."""
        found: Health = {}
        for one in self._known.values():
            if one.phase is not Phase.REMOVED:
                target = one.server.target
                health = target_health(one.phase, one.row)
                found.setdefault(one.server.group_arn, {})[target.target_id, target.port] = health
        return found

    def _in(self, phase: Phase) -> list[Registration]:
        return [one for one in self._known.values() if one.phase is phase]
