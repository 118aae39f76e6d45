"""The one folder in which a region keeps everything it writes."""

import contextlib
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from homeport.errors import HomeportError
from homeport.system import locks, processes
from homeport.system.files import explained, remove_tree, write_atomically

_ENTRIES = ("region.log", "region.json", "credentials", "private_key.pem", "lock")
"""The lock comes last: what is left of a removal that was killed is still known as ours by it."""
_FOLDERS = ("images", "instances", "balancers", "journal", "terraform")


class Run(msgspec.Struct, frozen=True):
    """What a running region tells the commands beside it (``region.json``); no secret stands in it."""

    pid: int
    start_time: int
    """Clock ticks since boot, as :func:`homeport.system.processes.start_time` counts them."""
    region_id: str
    api_port: int
    network: str
    """The region's own range, such as ``127.64.0.0/16``."""
    speed: float
    version: str
    repository: str
    """Root of the repository whose Terraform and application the region was started for."""
    driver: str = "process"
    boot_id: str = ""
    """The boot that ``pid`` and ``start_time`` are of; ``StateFolder.write_run`` fills it in."""


@dataclass(frozen=True)
class StateFolder:
    """Where everything of one region lies; ``root`` is absolute."""

    root: Path

    @classmethod
    def default(cls) -> "StateFolder":
        """Return the folder that ``HOMEPORT_STATE`` names, else the usual one of this user.

        Root's is ``/var/lib/homeport``: the unprivileged user that runs the services must reach the
        images, and root's home is closed to it.
        """
        if named := os.environ.get("HOMEPORT_STATE"):
            return cls(Path(named).expanduser().absolute())
        if os.geteuid() == 0:
            return cls(Path("/var/lib/homeport"))
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return cls(Path(base).expanduser() / "homeport")

    @property
    def option(self) -> str:
        """What a command needs beside its name to mean this folder: nothing for the default one."""
        with contextlib.suppress(RuntimeError):
            if self == StateFolder.default():
                return ""
        return f" --state {shlex.quote(str(self.root))}"

    @property
    def region_log(self) -> Path:
        """What the region's own process prints."""
        return self.root / "region.log"

    @property
    def run_file(self) -> Path:
        """How to reach the running region, see :class:`Run`."""
        return self.root / "region.json"

    @property
    def credentials(self) -> Path:
        """The administrator's keys; readable by the owner alone."""
        return self.root / "credentials"

    @property
    def private_key(self) -> Path:
        """The key that opens this machine's instances by ssh; readable by the owner alone."""
        return self.root / "private_key.pem"

    @property
    def images(self) -> Path:
        """Baked images: one folder each, and a link from each image id."""
        return self.root / "images"

    @property
    def instances(self) -> Path:
        """One folder an instance, named by its id."""
        return self.root / "instances"

    @property
    def balancers(self) -> Path:
        """Configuration, sockets and logs of the load balancers."""
        return self.root / "balancers"

    @property
    def journal(self) -> Path:
        """What runs, written down before it is started."""
        return self.root / "journal"

    @property
    def terraform(self) -> Path:
        """Terraform's data directory, away from the repository."""
        return self.root / "terraform"

    @property
    def lock(self) -> Path:
        """Held by the region's process as long as it runs; names its pid."""
        return self.root / "lock"

    def check(self) -> None:
        """Raise ``HomeportError`` for what is no state folder: the names inside would be somebody else's files."""
        with explained(self.root):
            if not self.root.exists():
                return
            if self._is_anothers():
                raise HomeportError(
                    f"{self.root} belongs to another user, or others may write in it: what they put there could "
                    "make us write elsewhere",
                    next_step="name a folder of your own: --state, or HOMEPORT_STATE",
                )
            if self.lock.exists():
                return
            if self.root.is_dir() and not any(self.root.iterdir()):
                return
        what = "holds files that are not Homeport's" if self.root.is_dir() else "is not a folder"
        raise HomeportError(
            f"{self.root} {what}, so it cannot be a state folder",
            next_step="name a new or an empty folder: --state, or HOMEPORT_STATE",
        )

    def _is_anothers(self) -> bool:
        facts = self.root.stat()
        return facts.st_uid != os.geteuid() or bool(facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    def create(self) -> None:
        """Make the folder and those inside; raise ``HomeportError`` when that cannot be."""
        self.check()
        with explained(self.root):
            self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
            # First: by it a folder is known as ours, whenever we are killed.
            self.lock.touch(mode=0o644)
            for folder in (self.images, self.instances, self.balancers):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for folder in (self.journal, self.terraform):
                folder.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.root, self.images, self.instances):
                # Whatever the caller's umask: the services' unprivileged user passes through here.
                folder.chmod(0o755)

    def write_run(self, run: Run) -> None:
        """Publish how to reach the region."""
        run = msgspec.structs.replace(run, boot_id=run.boot_id or processes.boot_id())
        write_atomically(self.run_file, msgspec.json.format(msgspec.json.encode(run)).decode() + "\n")

    def read_run(self) -> Run | None:
        """Return what the last region published, None when nothing (readable) is there."""
        try:
            return msgspec.json.decode(self.run_file.read_bytes(), type=Run)
        except (OSError, msgspec.DecodeError):
            return None

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every other region off this folder, by flock(2); the kernel lets go when the process ends.

        Raises ``HomeportError`` naming the process that holds it.
        """
        try:
            with explained(self.lock):
                handle = locks.take(self.lock, make=True)
        except locks.LockedError as error:
            raise HomeportError(
                f"a region already runs on the state folder {self.root} (process {self._holder()})",
                next_step="homeport region down, or set HOMEPORT_STATE to another folder",
            ) from error
        try:
            with explained(self.lock):
                self.lock.write_text(f"{os.getpid()}\n")
            yield
        finally:
            os.close(handle)

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return self.lock.read_text(errors="replace").strip() or "unknown"
        return "unknown"

    def remove(self) -> list[Path]:
        """Remove all that regions write here; return what else was found and left in place."""
        self.check()
        if not self.root.is_dir():
            return []
        with explained(self.root):
            for name in _FOLDERS:
                remove_tree(self.root / name)
            for path in self.root.glob(".*.*"):
                # What a killed write_atomically left.
                if path.name.startswith(tuple(f".{name}." for name in _ENTRIES)):
                    path.unlink(missing_ok=True)
            for name in _ENTRIES:
                (self.root / name).unlink(missing_ok=True)
            left = sorted(self.root.iterdir())
        if not left:
            # A mount point or a folder inside another user's cannot be removed; empty it harms nobody.
            with contextlib.suppress(OSError):
                self.root.rmdir()
        return left
