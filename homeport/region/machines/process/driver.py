"""The ``process`` driver: an instance is a session of processes with a loopback address of its own."""

import logging
import os
import resource
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region.journal import Entry, Journal
from homeport.region.machines import console
from homeport.region.machines.driver import Machine, MachineSpec
from homeport.region.machines.process import image_store, userdata
from homeport.region.state import StateFolder
from homeport.system import processes
from homeport.system.files import explained, remove_tree
from homeport.system.ranges import Ranges

INSTANCE_MARK = "_HOMEPORT_INSTANCE_ID"
OPEN_FILES = 16384
"""Descriptors that a machine may have open: sockets of its clients, most of all."""
_TRIM_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass
class _Running:
    machine: Machine
    started: int
    stopping: bool = False


class ProcessDriver:
    """Starts each instance from its image's folder; see :class:`homeport.region.machines.driver.Driver`.

    Processes know nothing of AWS's keys or of this user's environment. When the region runs as root
    they run as an unprivileged user, who can write nowhere but in the instance's own ``tmp`` folder.
    All of them belong to that one user: a machine is no wall between services.
    """

    name = "process"

    def __init__(self, state: StateFolder, region_id: str, network: IPv4Network) -> None:
        self._state = state
        self._region_id = region_id
        self._ranges = Ranges((network,))
        self._journal = Journal(state.journal)
        _bound_resources()
        self._account = processes.unprivileged_account()
        self._watcher = processes.ExitWatcher()
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._on_exit: list[Callable[[str], None]] = []
        self._closed = threading.Event()
        self._trimmer = threading.Thread(target=self._trim_consoles, name="console-trimmer", daemon=True)
        self._trimmer.start()

    def check(self, spec: MachineSpec) -> None:
        """Raise ``HomeportError`` for an image that is not here or an address of somebody else's."""
        image_store.resolve(self._state.images, spec.image_id)
        self._ranges.check(spec.address, spec.instance_id)

    def launch(self, spec: MachineSpec) -> Machine:
        """Start the machine; bad user-data and what the system refuses also stand in the console.

        Raises ``HomeportError``; nothing runs then, and nothing stands in the journal.
        """
        self.check(spec)
        with self._lock:
            if spec.instance_id in self._running and self._running[spec.instance_id].machine.running:
                raise HomeportError(f"{spec.instance_id} runs already")
        folder = self._prepare(spec)
        try:
            process, started = self._start(spec, folder)
        except HomeportError as error:
            console.note(folder, f"cannot launch: {error.message}")
            raise
        machine = Machine(spec.instance_id, spec.address, process.pid, running=True)
        with self._lock:
            self._running[spec.instance_id] = _Running(machine, started)
        self._watcher.watch(process.pid, lambda _, reason: self._ended(spec.instance_id, reason))
        return machine

    def stop(self, instance_id: str, *, grace: float) -> None:
        """Ask the machine to end, kill what is left of its session after ``grace`` real seconds."""
        with self._lock:
            running = self._running.get(instance_id)
            if running is None:
                return
            running.stopping = True
        folder = self._folder(instance_id)
        graceful = processes.stop_group(running.machine.pid, grace, running.started)
        if running.machine.running:
            console.note(folder, "stopped" if graceful else f"killed: it had not ended after {grace:g} seconds")
        self._journal.forget("instance", instance_id)
        with self._lock:
            self._running.pop(instance_id, None)
        self._tidy(folder)

    def discard(self, instance_id: str) -> None:
        """Do nothing: a stopped machine left no more than its console, and that is kept for a while."""

    def create_image(self, instance_id: str, image_id: str) -> None:
        """Refuse: a process changes nothing that an image could keep."""
        raise HomeportError(
            f"{instance_id} is a process: image {image_id} cannot be made of it",
            next_step="homeport image build, or a region of the other driver: homeport region up --driver container",
        )

    def import_image(self, location: str, image_id: str) -> None:
        """Refuse: this driver's images come from ``homeport image build``, which links them itself."""
        raise HomeportError(
            f"image {image_id} cannot be made of {location}: instances are processes here",
            next_step="homeport image build, or a region of the other driver: homeport region up --driver container",
        )

    def remove_image(self, image_id: str) -> None:
        """Do nothing: what was baked stays in the state folder, to be registered again."""

    def describe(self, instance_id: str) -> Machine | None:
        """Return what is known of the machine, None when it never was or was stopped."""
        with self._lock:
            running = self._running.get(instance_id)
            return running.machine if running else None

    def logs(self, instance_id: str, lines: int = 20) -> list[str]:
        """Return the last lines of the console, also of a machine that ended a while ago."""
        return console.last_lines(self._folder(instance_id), lines)

    def adopt(self) -> Sequence[Machine]:
        """Take over what the journal holds and still runs; clear away the rest of what does not."""
        for entry in self._journal.entries("instance"):
            machine = Machine(entry.id, entry.address, entry.pid, running=True)
            with self._lock:
                if entry.id in self._running:
                    continue
                if entry.running:
                    self._running[entry.id] = _Running(machine, entry.start_time)
            try:
                if entry.running:
                    self._watcher.watch(entry.pid, lambda _, reason, i=entry.id: self._ended(i, reason))  # type: ignore[misc]
                    continue
            except ProcessLookupError:
                pass
            self._clear(entry)
        with self._lock:
            return [running.machine for running in self._running.values()]

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(instance_id)`` when a machine ends by itself; ``describe`` tells the reason."""
        self._on_exit.append(callback)

    def close(self) -> None:
        """Stop watching; the machines go on."""
        self._closed.set()
        self._watcher.close()
        self._trimmer.join()

    def _folder(self, instance_id: str) -> Path:
        return self._state.instances / instance_id

    def _prepare(self, spec: MachineSpec) -> Path:
        folder = self._folder(spec.instance_id)
        with explained(folder):
            folder.mkdir(mode=0o755, exist_ok=True)
            # The caller's umask may have taken the right to pass through.
            folder.chmod(0o755)
            remove_tree(folder / "tmp")
            (folder / "tmp").mkdir(mode=0o700)
            if self._account:
                os.chown(folder / "tmp", self._account.user, self._account.group)
            console.note(folder, f"{spec.instance_id}: image {spec.image_id}, address {spec.address}, zone {spec.zone}")
        return folder

    def _start(self, spec: MachineSpec, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
        image = image_store.resolve(self._state.images, spec.image_id)
        asked = userdata.parse(spec.user_data)
        if asked.ignored:
            console.note(folder, f"user-data without effect on this driver: {', '.join(asked.ignored)}")
        environment = self._environment(spec, image, asked.settings, folder)
        entry = Entry("instance", spec.instance_id, spec.address, extra={"image": spec.image_id, "zone": spec.zone})
        self._journal.record(entry)
        try:
            process = self._spawn(image, environment, folder)
        except HomeportError:
            self._journal.forget("instance", spec.instance_id)
            raise
        stat = processes.read_stat(process.pid)
        # Nobody but the watcher waits for it, so that it is there still, as a zombie at least.
        started = stat.start_time if stat else 0
        # The watcher reaps it: Popen must not take the exit status away when it is collected.
        process.returncode = 0
        try:
            self._journal.record(
                Entry("instance", spec.instance_id, spec.address, process.pid, started, dict(entry.extra))
            )
        except HomeportError:
            processes.stop_group(process.pid, 0)
            self._journal.forget("instance", spec.instance_id)
            raise
        return process, started

    def _spawn(self, image: image_store.Image, environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
        with explained(folder / console.NAME):
            output = console.append(folder)
        try:
            return subprocess.Popen(
                image.command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._account.user if self._account else None,
                group=self._account.group if self._account else None,
                extra_groups=[] if self._account else None,
                umask=0o027,
            )
        except OSError as error:
            who = f" as user {self._account.name}" if self._account else ""
            raise HomeportError(
                f"cannot run {image.command[0]}{who}: {error.strerror}",
                next_step="homeport image build",
            ) from error
        finally:
            os.close(output)

    def _environment(
        self, spec: MachineSpec, image: image_store.Image, settings: dict[str, str], folder: Path
    ) -> dict[str, str]:
        """Compose the environment from nothing: image, user-data, region; the later wins."""
        temporary = str(folder / "tmp")
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": temporary,
            "TMPDIR": temporary,
            "AWS_REGION": spec.region_name,
            **image.manifest.environment,
            **settings,
            **spec.environment,
            "HOMEPORT_LISTEN_ADDRESS": spec.address,
            INSTANCE_MARK: spec.instance_id,
            **processes.marks(self._region_id, self._state.root),
        }

    def _ended(self, instance_id: str, reason: str) -> None:
        with self._lock:
            running = self._running.get(instance_id)
            if running is None or running.stopping:
                return
        # Workers that lost their leader would go on serving, watched by nobody.
        processes.kill_session(running.machine.pid)
        self._journal.forget("instance", instance_id)
        console.note(self._folder(instance_id), f"ended by itself: {reason}")
        with self._lock:
            running.machine = replace(running.machine, running=False, exit_reason=reason)
            if running.stopping:
                return
        for callback in self._on_exit:
            callback(instance_id)

    def _clear(self, entry: Entry) -> None:
        with self._lock:
            self._running.pop(entry.id, None)
        if entry.of_this_boot:
            processes.stop_group(entry.pid, 0, entry.start_time)
        for stat in processes.find_marked((INSTANCE_MARK, entry.id)):
            processes.stop_group(stat.pid, 0, stat.start_time)
        self._journal.forget("instance", entry.id)

    def _tidy(self, folder: Path) -> None:
        """Keep of an ended machine what tells why it ended, and of many machines the newest."""
        try:
            remove_tree(folder / "tmp")
            console.trim(folder, limit=console.KEPT)
        except OSError as error:
            _log.warning("%s: cannot tidy up: %s", folder.name, error)
        with self._lock:
            running = set(self._running)
        console.forget_oldest(self._state.instances, running)

    def _trim_consoles(self) -> None:
        while not self._closed.wait(_TRIM_SECONDS):
            with self._lock:
                names = list(self._running)
            for name in names:
                try:
                    console.trim(self._folder(name))
                except OSError as error:
                    _log.warning("%s: cannot shorten its console: %s", name, error.strerror)


def _bound_resources() -> None:
    """Bound this process, and so whatever it starts from now on.

    Not the machines from outside: to set the limits of another user's process takes a capability that
    root in a container lacks. Not between fork and exec either: no code is safe there beside threads.
    The hard limits stay, so that HAProxy can still raise its own.
    """
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = OPEN_FILES if files == resource.RLIM_INFINITY else min(OPEN_FILES, files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, files))
    # A core dump would hold the keys that this process issues.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
