"""Processes that outlive their parent: who they are, whether they live, how they end.

A pid alone names nothing for long, so a process is known by its pid, its start time in ticks *and* the boot
that the ticks count from. (A start time by the clock would move with the clock.) Everything the region starts
leads a session of its own and carries marks in its environment: what the journal missed is found by them.
"""

import contextlib
import errno
import logging
import os
import pwd
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

REGION_MARK = "_HOMEPORT_REGION_ID"
"""Environment variable of every process that a region started: the region's id.

The underscore tells the services that it is no setting of theirs.
"""
STATE_MARK = "_HOMEPORT_MACHINE_OF"
"""As above: the state folder. It tells the processes of a region whose id was lost with its files."""

PROC = Path("/proc")
KILL_DEADLINE = 10.0
"""Seconds that a process may take to vanish after SIGKILL (it frees its memory first)."""
_EXEC_SECONDS = 0.02


UNPRIVILEGED_USER = "nobody"


@dataclass(frozen=True)
class Account:
    """The user and group that machines run as when the region runs as root."""

    name: str
    user: int
    group: int


def unprivileged_account() -> Account | None:
    """Return the account to drop to, None when this process is not root and everything runs as its user."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True)
class ProcessStat:
    """The fields of ``/proc/<pid>/stat`` (proc(5)) that identify a process; ``start_time`` in clock ticks."""

    pid: int
    state: str
    group: int
    session: int
    start_time: int

    @property
    def ended(self) -> bool:
        """Whether it has ended; a zombie has, though ``kill(pid, 0)`` would still find it."""
        return self.state in "ZX"


def read_stat(pid: int) -> ProcessStat | None:
    """Return what the kernel tells of ``pid``, or None when there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessStat(pid, fields[0], int(fields[2]), int(fields[3]), int(fields[19]))


def marks(region_id: str, state_root: Path) -> dict[str, str]:
    """Return the environment variables that everything a region starts must carry."""
    return {REGION_MARK: region_id, STATE_MARK: str(state_root.resolve())}


def start_time(pid: int) -> int | None:
    """Return when ``pid`` started, in clock ticks since boot, or None when it does not run."""
    stat = read_stat(pid)
    return None if stat is None or stat.ended else stat.start_time


def boot_id() -> str:
    """Return the id that the kernel took when this machine was booted (random(4))."""
    return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text(encoding="utf-8").strip()


def alive(pid: int, started: int, boot: str) -> bool:
    """Return whether the process that started at ``started`` of the boot ``boot`` still runs under ``pid``.

    Without the boot it would not be known: after another one, pids and ticks come round again.
    """
    return boot == boot_id() and start_time(pid) == started


def command_line(pid: int) -> str:
    """Return the command of ``pid`` for a message, empty when it cannot be read."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def all_stats() -> Iterator[ProcessStat]:
    """Yield every process that runs now; those that end meanwhile are left out."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            stat = read_stat(int(entry.name))
            if stat is not None and not stat.ended:
                yield stat


def session_members(session: int) -> list[ProcessStat]:
    """Return the running processes of a session, its leader included."""
    return [stat for stat in all_stats() if stat.session == session]


def find_marked(*marks: tuple[str, str]) -> list[ProcessStat]:
    """Return the running processes whose environment holds one of the ``(name, value)`` marks.

    This process and its ancestors are never among them: a shell that happens to carry a mark is not a
    machine. Processes of other users are seen by root alone.
    """
    wanted = {f"{name}={value}".encode() for name, value in marks}
    mine = _self_and_ancestors()
    found, unclear = [], []
    for stat in all_stats():
        if stat.pid in mine:
            continue
        environment = _environment(stat.pid)
        if not wanted.isdisjoint(environment):
            found.append(stat)
        elif environment == [b""] and _has_program(stat.pid):
            unclear.append(stat)
    if unclear:
        # In the middle of execve(2) a process shows no environment yet.
        time.sleep(_EXEC_SECONDS)
        found += [stat for stat in unclear if not wanted.isdisjoint(_environment(stat.pid))]
    return found


def _has_program(pid: int) -> bool:
    """Whether it is an ordinary process; the kernel's own have neither program nor environment, ever."""
    try:
        return bool((PROC / str(pid) / "exe").readlink())
    except OSError:
        return False


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def stop_group(pid: int, grace: float, started: int | None = None) -> bool:
    """End the process ``pid``, its process group and its whole session; return whether it ended by itself.

    SIGTERM goes to the group. The leader gets ``grace`` seconds (real ones); whatever is left of the
    session then is killed. With ``started`` (see :func:`start_time`) a stranger that took over the pid
    is left alone. A process that leads no group of its own is ended alone.
    """
    if pid <= 1:
        raise ValueError(f"process {pid} leads no machine")
    leader = read_stat(pid)
    if leader is not None and started is not None and leader.start_time != started:
        # The kernel gives a number away again only when no group or session bears it any more.
        return True
    graceful = True
    if leader is not None and not leader.ended:
        graceful = _terminate(leader, grace)
    _kill_all(lambda: [stat for stat in session_members(pid) if stat.pid != os.getpid()])
    return graceful


def kill_session(session: int) -> None:
    """Kill whatever is left of a session whose leader has ended."""
    _kill_all(lambda: session_members(session))


def _terminate(leader: ProcessStat, grace: float) -> bool:
    with _pidfd(leader) as handle:
        if handle is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            if leader.group == leader.pid:
                os.killpg(leader.group, signal.SIGTERM)
                # As systemd does: what is suspended could not even begin to end.
                os.killpg(leader.group, signal.SIGCONT)
            else:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        if _wait_ended(handle, grace):
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait_ended(handle, KILL_DEADLINE)
        return False


def _kill_all(members: Callable[[], list[ProcessStat]]) -> None:
    # Again and again, because one of them may have forked between the look and the signal.
    deadline = time.monotonic() + KILL_DEADLINE
    while (left := members()) and time.monotonic() < deadline:
        for stat in left:
            with _pidfd(stat) as handle:
                if handle is not None:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                    _wait_ended(handle, max(0.0, deadline - time.monotonic()))


@contextlib.contextmanager
def _pidfd(stat: ProcessStat) -> Iterator[int | None]:
    """Open a handle on exactly this process, None when it has ended meanwhile."""
    try:
        handle = os.pidfd_open(stat.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle if start_time(stat.pid) == stat.start_time else None
    finally:
        os.close(handle)


def _wait_ended(handle: int, seconds: float) -> bool:
    """Wait until the process behind a pidfd has ended; a zombie counts, whoever reaps it."""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _self_and_ancestors() -> set[int]:
    found = {os.getpid()}
    pid = os.getpid()
    while pid > 1:
        try:
            text = (PROC / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            break
        pid = int(text[text.rindex(")") + 2 :].split()[1])
        found.add(pid)
    return found


ExitCallback = Callable[[int, str], None]
"""Called with the pid and the reason: ``exit code 3``, ``signal 9``, ``ended`` when nobody can know."""


class ExitWatcher:
    """Tells when processes end, own children or not, from one thread; children are reaped.

    A child that is watched must not be waited for elsewhere (``Popen.wait`` would take its status).
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, ExitCallback]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="exit-watcher", daemon=True)
        self._thread.start()

    def watch(self, pid: int, callback: ExitCallback) -> None:
        """Call ``callback`` from the watcher's thread once ``pid`` has ended, at once when it has already.

        The callback must be short: others wait behind it. Raises ``ProcessLookupError`` when there is no
        such process (an unreaped child is still one).
        """
        handle = os.pidfd_open(pid)
        with self._lock:
            if self._closed:
                os.close(handle)
                return
            self._waiting.append((handle, pid, callback))
            self._wake()

    def close(self) -> None:
        """Stop watching; processes go on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _wake(self) -> None:
        # A full pipe wakes the thread as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while self._take_new():
            for key, _ in self._selector.select():
                if key.fd == self._wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                    continue
                pid, callback = key.data
                self._selector.unregister(key.fd)
                reason = _exit_reason(key.fd)
                os.close(key.fd)
                try:
                    callback(pid, reason)
                except Exception:  # noqa: BLE001 - reported below
                    # The other processes must still be watched.
                    _log.exception("what follows the end of process %d failed", pid)
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()
        os.close(self._wake_write)

    def _take_new(self) -> bool:
        with self._lock:
            for handle, pid, callback in self._waiting:
                self._selector.register(handle, selectors.EVENT_READ, (pid, callback))
            self._waiting.clear()
            return not self._closed


def _exit_reason(handle: int) -> str:
    """Reap the process behind a pidfd when it is a child, and tell how it ended (waitid(2))."""
    try:
        result = os.waitid(os.P_PIDFD, handle, os.WEXITED)
    except OSError as error:
        if error.errno != errno.ECHILD:
            raise
        return "ended"
    if result is None:
        return "ended"
    return f"exit code {result.si_status}" if result.si_code == os.CLD_EXITED else f"signal {result.si_status}"
