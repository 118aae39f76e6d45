"""What a region has running, on disk: machines are taken over and swept by it, never by parentage."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from homeport.errors import HomeportError
from homeport.region.state import StateFolder
from homeport.system import processes
from homeport.system.files import write_atomically

KINDS = ("region", "instance", "balancer", "network", "image")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that runs, or was about to: without a ``pid`` only the intent was written."""

    kind: str
    id: str
    address: str = ""
    pid: int = 0
    start_time: int = 0
    extra: dict[str, str] = msgspec.field(default_factory=dict)
    boot_id: str = ""
    """The boot that ``pid`` and ``start_time`` are of; ``Journal.record`` fills it in."""

    @property
    def of_this_boot(self) -> bool:
        """Whether the pid can still mean what was written down; after a reboot it is a stranger's."""
        return self.pid > 0 and self.boot_id == processes.boot_id()

    @property
    def running(self) -> bool:
        """Whether the very process still runs that was written down."""
        return self.pid > 0 and processes.alive(self.pid, self.start_time, self.boot_id)

    @property
    def in_docker(self) -> bool:
        """Whether it is Docker's: a signal to its process would be the wrong way to end it."""
        return self.kind == "network" or "container" in self.extra


class Journal:
    """One JSON file an entry. Calls may come from several threads, one at a time for an entry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, entry: Entry) -> None:
        """Write an entry, first as an intent, then again with pid and start time."""
        if entry.kind not in KINDS:
            raise ValueError(f"unknown kind of journal entry: {entry.kind}")
        if entry.pid and not entry.boot_id:
            entry = msgspec.structs.replace(entry, boot_id=processes.boot_id())
        text = msgspec.json.format(msgspec.json.encode(entry)).decode()
        write_atomically(self._path(entry.kind, entry.id), text + "\n", 0o600)

    def forget(self, kind: str, entry_id: str) -> None:
        """Remove an entry; one that is not there is no error."""
        self._path(kind, entry_id).unlink(missing_ok=True)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return the readable entries, of one kind when it is given."""
        return [entry for entry, _ in self._read() if entry is not None and kind in (None, entry.kind)]

    def broken(self) -> list[Path]:
        """Return the files that hold no entry: a disk that filled up, a hand that edited."""
        return [path for entry, path in self._read() if entry is None]

    def _path(self, kind: str, entry_id: str) -> Path:
        if not entry_id or "/" in entry_id or entry_id.startswith("."):
            raise ValueError(f"not a journal id: {entry_id!r}")
        return self._folder / f"{kind}-{entry_id}.json"

    def _read(self) -> list[tuple[Entry | None, Path]]:
        found: list[tuple[Entry | None, Path]] = []
        for path in sorted(self._folder.glob("[!.]*.json")):
            try:
                found.append((msgspec.json.decode(path.read_bytes(), type=Entry), path))
            except FileNotFoundError:
                continue  # forgotten between the look and the reading
            except (OSError, msgspec.DecodeError):
                found.append((None, path))
        return found


@dataclass(frozen=True)
class Swept:
    """One thing that a sweep found: ``was_running`` when it had to be stopped."""

    kind: str
    """As in the journal, or ``unrecorded`` for a process known by its marks alone; ``image``, ``rules``."""
    id: str
    pid: int = 0
    address: str = ""
    was_running: bool = False
    graceful: bool = True
    holder: str = ""
    """What it was, when it was no process."""

    def __str__(self) -> str:
        what = f"{self.kind} {self.id}".strip() + (f" at {self.address}" if self.address else "")
        ended = "ended" if self.graceful else "killed"
        how = ended if self.was_running else "removed" if self.holder else "had ended already"
        return f"{what} ({self.holder or f'process {self.pid}'}): {how}"


@dataclass(frozen=True)
class Sweep:
    """What a sweep found; ``left`` are processes that even SIGKILL did not end."""

    swept: tuple[Swept, ...]
    broken: tuple[Path, ...]
    left: tuple[int, ...]


def sweep(state: StateFolder, *, grace: float = 10.0) -> Sweep:
    """Stop everything that the journal and the marks know of this state folder, and empty the journal.

    The region goes first, else it would replace what is stopped; its machines then end side by side,
    each with ``grace`` seconds to drain. Broken entries are reported and removed: their processes
    carry the marks. The calling process is left alone, as are its ancestors. What is Docker's is left to
    :mod:`homeport.region.machines.container.sweep`. Raises ``HomeportError`` for a process of another user, with the
    journal as it was.
    """
    journal = Journal(state.journal)
    entries, broken = [entry for entry in journal.entries() if not entry.in_docker], journal.broken()
    marks = [(processes.STATE_MARK, str(state.root.resolve()))]
    if run := state.read_run():
        marks.append((processes.REGION_MARK, run.region_id))
        if not any(entry.kind == "region" for entry in entries):
            entries.append(Entry("region", run.region_id, pid=run.pid, start_time=run.start_time, boot_id=run.boot_id))
    machines = [entry for entry in entries if entry.kind != "region"]
    swept = [_stop_entry(entry, grace) for entry in entries if entry.kind == "region"]
    with ThreadPoolExecutor(max_workers=16) as pool:
        swept += pool.map(lambda entry: _stop_entry(entry, grace), machines)
        swept += pool.map(lambda stray: _stop_stray(stray, grace), _strays(marks))
    for entry in entries:
        journal.forget(entry.kind, entry.id)
    for path in broken:
        path.unlink(missing_ok=True)
    left = tuple(stat.pid for stat in processes.find_marked(*marks))
    return Sweep(tuple(swept), tuple(broken), left)


def _stop_entry(entry: Entry, grace: float) -> Swept:
    was_running, graceful = entry.running, True
    if entry.of_this_boot and entry.pid != os.getpid():
        # Also when the leader has ended: its workers may live on in its session.
        graceful = _stop(entry.pid, grace, entry.start_time)
    return Swept(entry.kind, entry.id, entry.pid, entry.address, was_running, graceful)


def _stop_stray(pid: int, grace: float) -> Swept:
    graceful = _stop(pid, grace, None)
    return Swept("unrecorded", "", pid, "", was_running=True, graceful=graceful)


def _stop(pid: int, grace: float, started: int | None) -> bool:
    try:
        return processes.stop_group(pid, grace, started)
    except PermissionError as error:
        raise HomeportError(
            f"process {pid} ({processes.command_line(pid)}) belongs to another user",
            next_step="run the same command as the user who started the region (sudo -E ...)",
        ) from error


def _strays(marks: list[tuple[str, str]]) -> list[int]:
    """Return the leaders to stop for all marked processes: a whole session only when it is the machine's own."""
    found = processes.find_marked(*marks)
    marked = {stat.pid for stat in found}
    leaders = set()
    for stat in found:
        leader_ended = stat.session > 1 and processes.start_time(stat.session) is None
        leaders.add(stat.session if stat.session in marked or leader_ended else stat.pid)
    return sorted(leaders)
