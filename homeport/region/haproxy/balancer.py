"""One load balancer made real: its HAProxy, its targets' phases, and the thread that watches both."""

import contextlib
import logging
import os
import re
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from homeport.errors import HomeportError
from homeport.region.backoff import Backoff
from homeport.region.clock import Clock
from homeport.region.haproxy import parts, targets
from homeport.region.haproxy import process as haproxy
from homeport.region.haproxy.config import CONFIG_FILE, STATE_FILE, Rendered, render
from homeport.region.haproxy.health import Phase
from homeport.region.haproxy.model import LoadBalancer
from homeport.region.haproxy.process import Process
from homeport.region.haproxy.registrations import Changes, Health, Registrations
from homeport.region.haproxy.runtime import Runtime, RuntimeRefusedError
from homeport.region.haproxy.server_state import server_state
from homeport.region.haproxy.statistics import Statistics, idle, sessions
from homeport.system.addresses import ensure_free
from homeport.system.files import explained, remove_tree, write_atomically

_log = logging.getLogger(__name__)

PART_FOLDER = "part"
"""Where HAProxy looks at a part by itself."""
POLL = 0.5
"""Real seconds between two looks at HAProxy's statistics; half of it while a target waits for its verdict."""
_BACKOFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Real seconds before HAProxy is started again, by how often it has died soon after a start."""
_STEADY = 10.0
_ALERT = re.compile(r"^\[ALERT\]\s*\(\d+\) : ")


class Records(Protocol):
    """Where running processes are written down, so that a sweep finds them."""

    def record(self, kind: str, entry_id: str, pid: int, address: str) -> None:
        """Write down a process; again with the same id to replace it."""

    def forget(self, kind: str, entry_id: str) -> None:
        """Remove an entry; unknown ones are ignored."""


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
        self._asked: LoadBalancer | None = None
        self._fault: HomeportError | None = None
        self._backoff = Backoff()
        self._wanted: LoadBalancer | None = None
        self._rendered: Rendered | None = None
        self._running: Rendered | None = None
        self._process: Process | None = None
        self._replaced: list[Process] = []
        self._registrations = Registrations()
        self._statistics = Statistics()
        self._health: Health = {}
        self._announced = self._health
        self._deaths = 0
        self._started_at = 0.0
        self._restart_at = 0.0
        self._closed = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._watch, name=f"balancer-{name}", daemon=True)
        self._thread.start()

    def apply(self, load_balancer: LoadBalancer) -> None:
        """Make HAProxy do what ``load_balancer`` says.

        Raises:
            HomeportError: when a part of it cannot be had. The rest does what it says, that part what it did before.
                The same load balancer again raises the same, and is tried after a while only.
        """
        with self._lock:
            if load_balancer == self._asked and self._alive() and not (self._fault and self._backoff.ready("apply")):
                if self._fault is not None:
                    raise self._fault
                return
            if load_balancer != self._asked:
                self._backoff.ok("apply")
            self._asked = load_balancer
            try:
                self._fault = self._make(load_balancer)
            except HomeportError as error:
                self._fault = error
            if self._fault is None:
                self._backoff.ok("apply")
            else:
                self._backoff.failed("apply", self._fault.message)
        self.wake()
        if self._fault is not None:
            raise self._fault

    def _make(self, load_balancer: LoadBalancer) -> HomeportError | None:
        """Do what a load balancer says, and return what it cannot have; raises when nothing could be done."""
        if not load_balancer.listeners:
            self._stop_all()
            self._registrations = Registrations()
            self._health = {}
            self._wanted, self._rendered = load_balancer, None
            return None
        try:
            self._make_whole(load_balancer)
        except HomeportError:
            part, faults = parts.sound(load_balancer, self._wanted, self._part_fault)
            if not faults:
                raise
            if part.listeners:
                self._make_whole(part)
            return parts.together(self.name, faults)
        return None

    def _make_whole(self, load_balancer: LoadBalancer) -> None:
        rendered = render(load_balancer, self._clock)
        self._check_ports(load_balancer)
        self._bring_to(rendered)
        self._wanted = load_balancer
        self._health = self._registrations.health()

    def _part_fault(self, part: LoadBalancer) -> HomeportError | None:
        folder = self._folder / PART_FOLDER
        try:
            rendered = render(part, self._clock)
            self._check_ports(part)
            with explained(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write_files(folder, rendered)
                write_atomically(folder / CONFIG_FILE, rendered.text, 0o600)
            return _refusal(folder, self.name)
        except HomeportError as error:
            return error
        finally:
            remove_tree(folder)

    def health(self) -> Health:
        """Return the targets' health by target group ARN, as last seen; never waits."""
        return self._health

    def in_flight(self, group_arn: str, target_id: str, port: int) -> int:
        """Return how many requests run on a target now, those in replaced processes included."""
        with self._lock:
            self._look()
            return self._registrations.in_flight(group_arn, target_id, port)

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
        before = self._registrations.copy()
        try:
            changes = self._registrations.bring_in_line(rendered.servers)
            if self._process is None or self._process.ended():
                self._restart(rendered)
            elif changes.returned or self._needs_reload(rendered):
                self._reload(rendered)
            else:
                self._change_targets(self._process.runtime, changes, rendered)
        except (HomeportError, OSError):
            self._registrations = before
            raise
        self._rendered = rendered

    def _needs_reload(self, rendered: Rendered) -> bool:
        running = self._running
        return running is None or (running.skeleton, running.files) != (rendered.skeleton, rendered.files)

    def _change_targets(self, runtime: Runtime, changes: Changes, rendered: Rendered) -> None:
        try:
            targets.change(runtime, changes)
        except RuntimeRefusedError as error:
            _log.warning("load balancer %s: %s; reloading instead", self.name, error)
            self._reload(rendered)
            return
        write_atomically(self._folder / CONFIG_FILE, rendered.text, 0o600)
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
        self._registrations.forget_removed()
        self._look()

    def _prepare(self, rendered: Rendered) -> None:
        """Write a configuration once HAProxy has accepted it: a refused one must not survive a crash."""
        candidate = CONFIG_FILE + ".new"
        with explained(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_files(self._folder, rendered)
            write_atomically(self._folder / STATE_FILE, server_state(rendered.servers, self._registrations), 0o600)
            write_atomically(self._folder / candidate, rendered.text, 0o600)
            try:
                haproxy.check(self._folder, self.name, candidate)
            except HomeportError:
                if self._running is not None:
                    _write_files(self._folder, self._running)
                raise
            (self._folder / candidate).replace(self._folder / CONFIG_FILE)

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
                self._registrations.read(rows)
        unknown = 0
        for old in list(self._replaced):
            if old.ended():
                self._forget(old)
                continue
            old_rows = old.remaining_rows()
            if old_rows is None:
                unknown += 1
                continue
            self._statistics.add(old.pid, old_rows, groups)
            running += sessions(old_rows)
            if idle(old_rows):
                old.let_go()
        self._registrations.set_in_flight(running, unknown=unknown)
        self._health = self._registrations.health()

    def _forget(self, old: Process) -> None:
        old.release()
        self._replaced.remove(old)
        self._statistics.forget(old.pid)
        self._records.forget("balancer", self._replaced_id(old))

    def _advance(self) -> None:
        """Give new targets with a verdict to HAProxy, and remove what has no connection left."""
        if self._process is None or self._process.ended():
            return
        runtime = self._process.runtime
        for one in self._registrations.passed_first():
            targets.put_in(runtime, one.server)
            one.phase = Phase.SERVING
        for one in self._registrations.failed_first():
            targets.leave_to_checks(runtime, one.server)
            one.phase = Phase.SERVING
        for one in self._registrations.removed():
            if targets.deleted(runtime, one.server):
                self._registrations.forget(one)
        self._health = self._registrations.health()

    # The watching thread.

    def _watch(self) -> None:
        while not self._closed:
            self._wait()
            if self._closed:
                return
            try:
                with self._lock:
                    self._tick()
                self._backoff.ok("watch")
            except (HomeportError, RuntimeRefusedError, OSError) as error:
                log = f"\n{error.log}" if isinstance(error, HomeportError) and error.log else ""
                if self._backoff.failed("watch", str(error)):
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
            waiting = self._registrations.waiting()
            handle = process.handle if process is not None and not process.ended() else None
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            if handle is not None:
                selector.register(handle, selectors.EVENT_READ)
            selector.select(POLL / 2 if waiting or self._restart_at else POLL)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)


def _refusal(folder: Path, name: str) -> HomeportError | None:
    """Return why HAProxy refuses a configuration, in its words; the folder need not outlive the error."""
    try:
        haproxy.check(folder, name, CONFIG_FILE)
    except HomeportError as error:
        # Its pid differs with each try, and would make the same refusal look new.
        said = _ALERT.sub("", error.log.partition("\n")[0])
        return HomeportError(
            f"HAProxy refused it: {said}", log=error.log, next_step="correct that part; it is tried again by itself"
        )
    return None


def _write_files(folder: Path, rendered: Rendered) -> None:
    for name, content in rendered.files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
