"""One load balancer made real: its HAProxy, its targets' phases, and the thread that watches both."""

import contextlib
import logging
import os
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from homeport.errors import HomeportError
from homeport.region.addresses import ensure_free
from homeport.region.balancer import process as haproxy
from homeport.region.balancer import targets
from homeport.region.balancer.config import CONFIG_FILE, STATE_FILE, Rendered, render
from homeport.region.balancer.health import Phase, is_up, passed, target_health
from homeport.region.balancer.model import LoadBalancer, TargetHealth
from homeport.region.balancer.process import Process
from homeport.region.balancer.runtime import Row, RuntimeRefusedError
from homeport.region.balancer.server_state import server_state
from homeport.region.balancer.servers import Server
from homeport.region.balancer.statistics import Statistics, idle, sessions, unread
from homeport.region.clock import Clock
from homeport.region.state import explained, write_atomically

_log = logging.getLogger(__name__)

POLL = 0.5
"""Real seconds between two looks at HAProxy's statistics; half of it while a target waits for its verdict."""
_BACKOFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Real seconds before HAProxy is started again, by how often it has died soon after a start."""
_STEADY = 10.0


class Records(Protocol):
    """Where running processes are written down, so that a sweep finds them."""

    def record(self, kind: str, entry_id: str, pid: int, address: str) -> None:
        """Write down a process; again with the same id to replace it."""

    def forget(self, kind: str, entry_id: str) -> None:
        """Remove an entry; unknown ones are ignored."""


@dataclass
class Registration:
    """What is known of one server; ``row`` is its last line of ``show stat`` in the checked backend."""

    server: Server
    phase: Phase
    row: Row | None = None
    in_flight: int = 0

    @property
    def health(self) -> TargetHealth:
        """Return what the API says of it."""
        return target_health(self.phase, self.row)


class Balancer:
    """Keeps one HAProxy in step with one :class:`LoadBalancer`.

    One lock: an ``apply`` and the watching thread take turns. Callbacks run without it.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        clock: Clock,
        *,
        environment: Mapping[str, str],
        records: Records,
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self._folder = folder
        self._clock = clock
        self._environment = environment
        self._records = records
        self._on_change = on_change
        self._lock = threading.Lock()
        self._wanted: LoadBalancer | None = None
        self._rendered: Rendered | None = None
        self._running: Rendered | None = None
        self._process: Process | None = None
        self._replaced: list[Process] = []
        self._registrations: dict[str, Registration] = {}
        self._statistics = Statistics()
        self._health: dict[str, dict[tuple[str, int], TargetHealth]] = {}
        self._announced = self._health
        self._deaths = 0
        self._started_at = 0.0
        self._restart_at = 0.0
        self._closed = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._watch, name=f"balancer-{name}", daemon=True)
        self._thread.start()

    def apply(self, load_balancer: LoadBalancer) -> None:
        """Make HAProxy do what ``load_balancer`` says; raises ``HomeportError`` and keeps what ran before."""
        with self._lock:
            if load_balancer == self._wanted and self._alive():
                return
            if not load_balancer.listeners:
                self._stop_all()
                self._registrations.clear()
                self._publish()
                self._wanted, self._rendered = load_balancer, None
                return
            rendered = render(load_balancer, self._clock)
            self._check_ports(load_balancer)
            self._bring_to(rendered)
            self._wanted = load_balancer
            self._publish()
        self.wake()

    def health(self) -> dict[str, dict[tuple[str, int], TargetHealth]]:
        """Return the targets' health by target group ARN, as last seen; never waits."""
        return self._health

    def in_flight(self, group_arn: str, target_id: str, port: int) -> int:
        """Return how many requests run on a target now, those in replaced processes included."""
        with self._lock:
            known = [
                one
                for one in self._registrations.values()
                if (one.server.group_arn, one.server.target.target_id, one.server.target.port)
                == (group_arn, target_id, port)
            ]
            if not known:
                return 0
            self._look()
            return sum(one.in_flight for one in known)

    def counters(self) -> dict[str, Counter[str]]:
        """Return HAProxy's counters since the balancer began, by frontend (``port-80``) and target group ARN."""
        with self._lock:
            return self._statistics.totals()

    def pids(self) -> list[int]:
        """Return the running processes, the one that takes new connections first."""
        with self._lock:
            return [one.pid for one in ([self._process] if self._process else []) + self._replaced]

    def wake(self) -> None:
        """Let the watching thread look now."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"x")

    def close(self, *, stop: bool) -> None:
        """Stop watching; with ``stop`` also HAProxy, else it goes on by itself."""
        self._closed = True
        self.wake()
        self._thread.join()
        with self._lock:
            if stop:
                self._stop_all()
            else:
                for one in [*self._replaced, *([self._process] if self._process else [])]:
                    one.release()
                self._process, self._replaced = None, []
        os.close(self._wake_read)
        os.close(self._wake_write)

    # What follows runs with the lock held.

    def _alive(self) -> bool:
        return self._rendered is None or (self._process is not None and not self._process.ended())

    def _check_ports(self, load_balancer: LoadBalancer) -> None:
        held = set()
        if self._alive() and self._wanted is not None:
            held = {(self._wanted.address, listener.port) for listener in self._wanted.listeners}
        for listener in load_balancer.listeners:
            if (load_balancer.address, listener.port) not in held:
                try:
                    ensure_free(load_balancer.address, listener.port)
                except HomeportError as error:
                    message = f"load balancer {self.name} cannot listen: {error.message}"
                    raise HomeportError(message, next_step=error.next_step) from error

    def _bring_to(self, rendered: Rendered) -> None:
        before = {key: Registration(one.server, one.phase, one.row) for key, one in self._registrations.items()}
        try:
            returned = self._register(rendered)
            if self._process is None or self._process.ended():
                self._restart(rendered)
            elif returned or self._needs_reload(rendered):
                self._reload(rendered)
            else:
                self._change_targets(rendered, before)
        except (HomeportError, OSError):
            self._registrations = before
            raise
        self._rendered = rendered

    def _register(self, rendered: Rendered) -> bool:
        """Bring the registrations in line; return whether a target came back while it still drained."""
        returned = False
        wanted = {server.key: server for server in rendered.servers}
        for key, server in wanted.items():
            known = self._registrations.get(key)
            if known is None:
                phase = Phase.DRAINING if server.target.draining else Phase.NEW
                self._registrations[key] = Registration(server, phase)
                continue
            known.server = server
            if server.target.draining:
                known.phase = Phase.DRAINING
            elif known.phase in (Phase.DRAINING, Phase.REMOVED):
                # Its old check results must not count: a fresh server, by a reload.
                known.phase, known.row, returned = Phase.NEW, None, True
        for key, known in self._registrations.items():
            if key not in wanted:
                known.phase = Phase.REMOVED
        return returned

    def _needs_reload(self, rendered: Rendered) -> bool:
        running = self._running
        return running is None or (running.skeleton, running.files) != (rendered.skeleton, rendered.files)

    def _change_targets(self, rendered: Rendered, before: Mapping[str, Registration]) -> None:
        assert self._process is not None  # noqa: S101 - for the type checker
        runtime = self._process.runtime
        try:
            for key, known in self._registrations.items():
                old = before.get(key)
                if old is None:
                    targets.add(runtime, known.server)
                elif known.phase != old.phase and known.phase in (Phase.DRAINING, Phase.REMOVED):
                    targets.take_out(runtime, known.server)
                    if known.phase is Phase.REMOVED:
                        targets.cut(runtime, known.server)
        except RuntimeRefusedError as error:
            _log.warning("load balancer %s: %s; reloading instead", self.name, error)
            self._reload(rendered)
            return
        self._write(rendered)
        self._running = rendered

    def _reload(self, rendered: Rendered) -> None:
        self._look()
        self._prepare(rendered)
        old = self._process
        if old is not None and old.ended():
            old = None
        process = haproxy.start(self._folder, self.name, self._environment, old)
        if old is not None:
            self._records.record("balancer", self._replaced_id(old), old.pid, rendered.address)
            self._replaced.append(old)
        self._took_over(process, rendered)

    def _restart(self, rendered: Rendered) -> None:
        self._prepare(rendered)
        if self._process is not None:
            self._statistics.forget(self._process.pid)
            self._process.release()
            self._process = None
        self._records.record("balancer", self._folder.name, 0, rendered.address)
        self._took_over(haproxy.start(self._folder, self.name, self._environment, None), rendered)

    def _took_over(self, process: Process, rendered: Rendered) -> None:
        self._process = process
        self._running = rendered
        self._started_at = time.monotonic()
        self._records.record("balancer", self._folder.name, process.pid, rendered.address)
        # A new process knows nothing of the servers that were on their way out.
        gone = [key for key, known in self._registrations.items() if known.phase is Phase.REMOVED]
        for key in gone:
            del self._registrations[key]
        self._look()

    def _prepare(self, rendered: Rendered) -> None:
        """Write a configuration once HAProxy has accepted it: a refused one must not survive a crash."""
        candidate = CONFIG_FILE + ".new"
        with explained(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write_files(rendered)
            write_atomically(self._folder / STATE_FILE, self._state(rendered), 0o600)
            write_atomically(self._folder / candidate, rendered.text, 0o600)
            try:
                haproxy.check(self._folder, self.name, candidate)
            except HomeportError:
                if self._running is not None:
                    self._write_files(self._running)
                raise
            (self._folder / candidate).replace(self._folder / CONFIG_FILE)

    def _write(self, rendered: Rendered) -> None:
        write_atomically(self._folder / CONFIG_FILE, rendered.text, 0o600)

    def _write_files(self, rendered: Rendered) -> None:
        for name, content in rendered.files.items():
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)

    def _state(self, rendered: Rendered) -> str:
        def known(server: Server) -> Registration:
            return self._registrations[server.key]

        return server_state(rendered.servers, lambda one: known(one).phase, lambda one: known(one).row)

    def _replaced_id(self, process: Process) -> str:
        return f"{self._folder.name}.{process.pid}"

    def _stop_all(self) -> None:
        for one in self._replaced:
            one.stop()
            self._records.forget("balancer", self._replaced_id(one))
        self._replaced = []
        if self._process is not None:
            self._process.stop()
            self._process = None
        self._running = None
        self._records.forget("balancer", self._folder.name)

    def _look(self) -> None:
        """Read the statistics of all processes: health, requests in flight, counters."""
        groups = self._running.groups if self._running is not None else {}
        running: Counter[str] = Counter()
        if self._process is not None:
            with contextlib.suppress(RuntimeRefusedError):
                rows = self._process.runtime.rows()
                self._statistics.add(self._process.pid, rows, groups)
                running += sessions(rows)
                for row in rows:
                    known = self._registrations.get(f"{row['pxname']}/{row['svname']}")
                    if known is not None and not unread(row, known.row):
                        known.row = row
        for old in list(self._replaced):
            if old.ended():
                self._forget(old)
                continue
            old_rows = old.remaining_rows()
            if old_rows is None:
                # It cannot be asked. Too long a drain harms less than a cut request.
                running.update(self._registrations.keys())
                continue
            self._statistics.add(old.pid, old_rows, groups)
            running += sessions(old_rows)
            if idle(old_rows):
                old.let_go()
        for key, known in self._registrations.items():
            known.in_flight = running[key]
        self._publish()

    def _forget(self, old: Process) -> None:
        old.release()
        self._replaced.remove(old)
        self._statistics.forget(old.pid)
        self._records.forget("balancer", self._replaced_id(old))

    def _publish(self) -> None:
        found: dict[str, dict[tuple[str, int], TargetHealth]] = {}
        for known in self._registrations.values():
            if known.phase is not Phase.REMOVED:
                target = known.server.target
                found.setdefault(known.server.group_arn, {})[target.target_id, target.port] = known.health
        self._health = found

    def _advance(self) -> None:
        """Give new targets with a verdict to HAProxy, and remove what has no connection left."""
        if self._process is None or self._process.ended():
            return
        runtime = self._process.runtime
        for key, known in list(self._registrations.items()):
            if known.phase is Phase.NEW and known.row is not None:
                if is_up(known.row) and passed(known.row):
                    targets.put_in(runtime, known.server)
                    known.phase = Phase.SERVING
                elif known.row["status"].startswith("DOWN"):
                    targets.leave_to_checks(runtime, known.server)
                    known.phase = Phase.SERVING
            elif known.phase is Phase.REMOVED and targets.deleted(runtime, known.server):
                del self._registrations[key]

    # The watching thread.

    def _watch(self) -> None:
        while not self._closed:
            self._wait()
            if self._closed:
                return
            try:
                with self._lock:
                    self._tick()
            except (HomeportError, RuntimeRefusedError, OSError) as error:
                log = f"\n{error.log}" if isinstance(error, HomeportError) and error.log else ""
                _log.warning("load balancer %s: %s%s", self.name, error, log)
            if self._health != self._announced:
                self._announced = self._health
                self._on_change()

    def _tick(self) -> None:
        process = self._process
        if process is not None and process.ended() and self._rendered is not None:
            now = time.monotonic()
            if not self._restart_at:
                self._deaths = 0 if now - self._started_at > _STEADY else self._deaths + 1
                self._restart_at = now + _BACKOFF[min(self._deaths, len(_BACKOFF) - 1)]
                _log.warning("HAProxy of load balancer %s ended with %s", self.name, process.exit_reason())
            if now < self._restart_at:
                return
            self._restart_at = 0.0
            self._restart(self._rendered)
        self._look()
        self._advance()
        haproxy.bound_log(self._folder)

    def _wait(self) -> None:
        with self._lock:
            process = self._process
            waiting = any(known.phase in (Phase.NEW, Phase.REMOVED) for known in self._registrations.values())
            handle = process.handle if process is not None and not process.ended() else None
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            if handle is not None:
                selector.register(handle, selectors.EVENT_READ)
            selector.select(POLL / 2 if waiting or self._restart_at else POLL)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
