"""The ``container`` driver: an instance is a systemd container with a network and a file system of its own."""

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import msgspec
from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException

from homeport.errors import HomeportError
from homeport.region.journal import Entry, Journal
from homeport.region.machines import console
from homeport.region.machines.container import engine, guest
from homeport.region.machines.container.network import REGION_LABEL, STATE_LABEL, ContainerNetwork
from homeport.region.machines.driver import Machine, MachineSpec
from homeport.region.state import StateFolder
from homeport.system import processes
from homeport.system.files import explained

_IMAGE_ID = re.compile(r"ami-[0-9a-f]+")
_KILLED = 137
_REBOOTED = 129
"""Exit code of a container whose first process asked the kernel for a reboot (pid_namespaces(7): SIGHUP)."""
_POWERED_OFF = 130
"""The same for poweroff and halt (SIGINT)."""
_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass
class _Known:
    machine: Machine
    stopping: bool = False


class ContainerDriver:
    """Boots each instance from a Docker image; see :class:`homeport.region.machines.driver.Driver`.

    A stopped machine is a stopped container: its files stay until ``discard``. Root in a machine is as good as
    root here, as the capabilities that systemd needs imply; machines are no wall against each other's root.
    """

    name = "container"

    def __init__(self, state: StateFolder, region_id: str, network: ContainerNetwork) -> None:
        self._state = state
        self._region_id = region_id
        self._network = network
        self._labels = {REGION_LABEL: region_id, STATE_LABEL: str(state.root.resolve())}
        self._journal = Journal(state.journal)
        self._client = engine.connect()
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._on_exit: list[Callable[[str], None]] = []
        self._closed = threading.Event()
        self._events: Any = None
        self._watcher = threading.Thread(target=self._watch, name="container-watcher", daemon=True)
        self._watcher.start()

    def check(self, spec: MachineSpec) -> None:
        """Raise ``HomeportError`` for an image that is not here or an address of somebody else's."""
        self._network.ranges.check(spec.address, spec.instance_id)
        with engine.explained(f"look for image {spec.image_id}"):
            if not self._client.images(self._image(spec.image_id)):
                raise HomeportError(
                    f"image {spec.image_id} is no Docker image here: it was neither registered nor created here",
                    next_step="aws ec2 register-image --image-location with a local Docker image's tag (docker images)",
                )

    def launch(self, spec: MachineSpec) -> Machine:
        """Boot the machine, a stopped one from the files that it has; return once its first process runs.

        Raises ``HomeportError``; of a machine that was never there before nothing is left then.
        """
        self.check(spec)
        folder = self._state.instances / spec.instance_id
        with explained(folder):
            folder.mkdir(mode=0o755, exist_ok=True)
        console.note(folder, f"{spec.instance_id}: image {spec.image_id}, address {spec.address}, zone {spec.zone}")
        name = guest.container_name(spec.instance_id)
        entry = Entry(
            "instance",
            spec.instance_id,
            spec.address,
            extra={"container": name, "image": spec.image_id, "zone": spec.zone},
        )
        try:
            with engine.explained(f"launch {spec.instance_id}"):
                return self._start(spec, entry, name)
        except HomeportError as error:
            console.note(folder, f"cannot launch: {error.message}")
            raise

    def stop(self, instance_id: str, *, grace: float) -> None:
        """Shut the machine down, kill it after ``grace`` real seconds; its files stay."""
        name = guest.container_name(instance_id)
        with self._lock:
            known = self._known.get(instance_id)
            if known:
                known.stopping = True
        was_running = known is not None and known.machine.running
        with engine.explained(f"stop {instance_id}"):
            try:
                self._client.stop(name, timeout=int(grace))
                killed = self._client.inspect_container(name)["State"]["ExitCode"] == _KILLED
            except NotFound:
                killed = False
        if was_running:
            self._keep_console(instance_id)
            how = f"killed: it had not ended after {grace:g} seconds" if killed else "stopped"
            console.note(self._folder(instance_id), how)
        with self._lock:
            self._known.pop(instance_id, None)

    def discard(self, instance_id: str) -> None:
        """Remove the container with its files; its console stays for a while."""
        remove(self._client, guest.container_name(instance_id))
        self._journal.forget("instance", instance_id)
        with self._lock:
            self._known.pop(instance_id, None)
        console.trim(self._folder(instance_id), limit=console.KEPT)
        console.forget_oldest(self._state.instances, self._held())

    def create_image(self, instance_id: str, image_id: str) -> None:
        """Make an image of the machine's file system as it is at one moment; what runs is held for that long."""
        repository, name = guest.image_repository(self._region_id), guest.container_name(instance_id)
        # First the intent: Docker ends what it began, whoever asked is gone by then, and a sweep must wait for it.
        self._journal.record(Entry("image", image_id, extra={"container": name, "tag": self._image(image_id)}))
        try:
            with engine.explained(f"make image {image_id} of {instance_id}"):
                self._client.commit(
                    name,
                    repository=repository,
                    tag=image_id,
                    changes=guest.image_changes(),
                    # Else the image would take the machine's: its name, its terminal.
                    conf={"StopSignal": guest.STOP_SIGNAL},
                )
        finally:
            self._journal.forget("image", image_id)

    def import_image(self, location: str, image_id: str) -> None:
        """Let ``image_id`` name the local Docker image that ``location`` names, or what another image id names."""
        source = self._image(location) if _IMAGE_ID.fullmatch(location) else location
        with engine.explained(f"take {location} as image {image_id}"):
            try:
                self._client.tag(source, guest.image_repository(self._region_id), image_id)
            except NotFound as error:
                raise HomeportError(
                    f"there is no Docker image {location} here, and none is fetched",
                    next_step="docker images; packer/debian/build makes homeport/debian:12",
                ) from error

    def remove_image(self, image_id: str) -> None:
        """Take the image's name away; its layers go when no container and no other name needs them."""
        with engine.explained(f"remove image {image_id}"), contextlib.suppress(NotFound):
            self._client.remove_image(self._image(image_id), force=True)

    def describe(self, instance_id: str) -> Machine | None:
        """Return what is known of the machine, None when it never was or was stopped."""
        with self._lock:
            known = self._known.get(instance_id)
            return known.machine if known else None

    def logs(self, instance_id: str, lines: int = 20) -> list[str]:
        """Return the last lines of the console: earlier boots from the instance's folder, this one from Docker."""
        found = console.last_lines(self._folder(instance_id), lines)
        machine = self.describe(instance_id)
        if machine and machine.running:
            found += self._printed(instance_id, lines)
        return found[-lines:] if lines > 0 else []

    def adopt(self) -> Sequence[Machine]:
        """Take over the region's containers that run."""
        with engine.explained("list the region's containers"):
            for one in self._client.containers(filters={"label": f"{REGION_LABEL}={self._region_id}"}):
                labels = one["Labels"]
                instance_id = labels[guest.INSTANCE_LABEL]
                pid = self._client.inspect_container(one["Id"])["State"]["Pid"]
                machine = Machine(instance_id, labels[guest.ADDRESS_LABEL], pid, running=True)
                with self._lock:
                    self._known.setdefault(instance_id, _Known(machine))
        with self._lock:
            return [known.machine for known in self._known.values() if known.machine.running]

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(instance_id)`` when a machine ends by itself; ``describe`` tells the reason."""
        self._on_exit.append(callback)

    def close(self) -> None:
        """Stop watching; the machines go on."""
        self._closed.set()
        if self._events is not None:
            self._events.close()
        self._watcher.join(5)
        self._client.close()

    def _image(self, image_id: str) -> str:
        return f"{guest.image_repository(self._region_id)}:{image_id}"

    def _folder(self, instance_id: str) -> Path:
        return self._state.instances / instance_id

    def _held(self) -> set[str]:
        return {entry.id for entry in self._journal.entries("instance")}

    def _start(self, spec: MachineSpec, entry: Entry, name: str) -> Machine:
        self._journal.record(entry)
        fresh = not self._client.containers(all=True, filters={"name": f"^/{name}$"})
        known = _Known(Machine(spec.instance_id, spec.address, 0, running=True))
        try:
            if fresh:
                # By its content, not by its name: an image made of the machine would keep the name.
                image = self._client.images(self._image(spec.image_id))[0]["Id"]
                guest.create(self._client, spec, image, self._network.name, self._labels)
            with self._lock:
                # Before the start: it may end at once.
                self._known[spec.instance_id] = known
            self._client.start(name)
        except BaseException:
            with self._lock:
                self._known.pop(spec.instance_id, None)
            if fresh:
                remove(self._client, name)
                self._journal.forget("instance", spec.instance_id)
            raise
        pid = self._client.inspect_container(name)["State"]["Pid"]
        self._journal.record(replace_pid(entry, pid))
        with self._lock:
            known.machine = replace(known.machine, pid=pid)
            return known.machine

    def _printed(self, instance_id: str, lines: int) -> list[str]:
        """Return what a machine printed since it was booted last."""
        name = guest.container_name(instance_id)
        try:
            started = self._client.inspect_container(name)["State"]["StartedAt"]
            # Docker's nanoseconds are more than Python reads.
            since = datetime.fromisoformat(f"{started[:26].rstrip('Z')}+00:00").timestamp()
            text: bytes = self._client.logs(name, tail=lines, since=since)
        except (DockerException, RequestException, ValueError) as error:
            return [f"(its console cannot be read now: {error})"]
        return text.decode(errors="replace").replace("\r\n", "\n").splitlines()

    def _keep_console(self, instance_id: str) -> None:
        console.add(self._folder(instance_id), self._printed(instance_id, 10_000))

    # The watching thread.

    def _watch(self) -> None:
        missed = False
        while not self._closed.is_set():
            try:
                # Each time anew: the last client's connection may be what failed.
                with contextlib.closing(engine.connect()) as client:
                    self._events = client.events(
                        decode=True, filters={"label": f"{REGION_LABEL}={self._region_id}", "event": ["die"]}
                    )
                    if missed:
                        _log.info("the Docker engine answers again")
                        missed = False
                    self._look(client)
                    for event in self._events:
                        self._died(event["Actor"]["Attributes"])
            except (HomeportError, DockerException, RequestException, OSError, ValueError, AttributeError) as error:
                # The last two when the stream is closed under its reader.
                if not self._closed.is_set() and not missed:
                    missed = True
                    _log.warning("the Docker engine does not answer; machines are not watched until it does: %s", error)
            self._closed.wait(_AGAIN_SECONDS)

    def _look(self, client: docker.APIClient) -> None:
        """Find what ended while nobody watched: Docker takes containers with it when it is stopped."""
        label = f"{REGION_LABEL}={self._region_id}"
        running = {one["Labels"][guest.INSTANCE_LABEL] for one in client.containers(filters={"label": label})}
        with self._lock:
            # Without a pid it is just being started.
            ended = [one for one, known in self._known.items() if known.machine.pid and one not in running]
        for instance_id in ended:
            self._ended(instance_id, "ended while the Docker engine was away")

    def _died(self, attributes: dict[str, str]) -> None:
        instance_id, code = attributes.get(guest.INSTANCE_LABEL, ""), int(attributes.get("exitCode", "0"))
        if code == _REBOOTED and self._rebooted(instance_id):
            return
        reason = f"signal {code - 128}" if code > 128 else f"exit code {code}"
        self._ended(instance_id, "powered off" if code == _POWERED_OFF else reason)

    def _rebooted(self, instance_id: str) -> bool:
        """Boot a machine again that did so by itself; to EC2 it runs all the while."""
        with self._lock:
            known = self._known.get(instance_id)
            if known is None or known.stopping:
                return False
        self._keep_console(instance_id)
        console.note(self._folder(instance_id), "boots again by itself")
        try:
            with engine.explained(f"boot {instance_id} again"):
                name = guest.container_name(instance_id)
                self._client.start(name)
                pid = self._client.inspect_container(name)["State"]["Pid"]
        except HomeportError as error:
            _log.warning("%s", error.message)
            return False
        for entry in self._journal.entries("instance"):
            if entry.id == instance_id:
                self._journal.record(replace_pid(entry, pid))
        with self._lock:
            known.machine = replace(known.machine, pid=pid)
            unwanted = known.stopping
        if unwanted:
            # Somebody stopped it just then, and found it ended.
            with engine.explained(f"stop {instance_id}"):
                self._client.kill(name)
        return True

    def _ended(self, instance_id: str, reason: str) -> None:
        with self._lock:
            known = self._known.get(instance_id)
            if known is None or known.stopping or not known.machine.running:
                return
            known.machine = replace(known.machine, running=False, exit_reason=reason)
        self._keep_console(instance_id)
        console.note(self._folder(instance_id), f"ended by itself: {reason}")
        for callback in self._on_exit:
            try:
                callback(instance_id)
            except Exception:  # noqa: BLE001 - reported below
                # The other machines must still be watched.
                _log.exception("what follows the end of %s failed", instance_id)


def remove(client: docker.APIClient, name: str) -> None:
    """Remove a container with its anonymous volumes; one that is not there is no error."""
    with engine.explained(f"remove the container {name}"), contextlib.suppress(NotFound):
        client.remove_container(name, v=True, force=True)


def replace_pid(entry: Entry, pid: int) -> Entry:
    """Return a journal entry with the process that it stands for now."""
    return msgspec.structs.replace(
        entry, pid=pid, start_time=processes.start_time(pid) or 0, boot_id=processes.boot_id()
    )
