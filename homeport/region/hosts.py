"""Names of load balancers in the hosts file, each line marked with the region it belongs to."""

import contextlib
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from homeport.errors import HomeportError

HOSTS = Path("/etc/hosts")
_MARK = b"# homeport region "
_LOCK_SECONDS = 10.0
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")
_ADDRESS = re.compile(r"[0-9.]{7,15}|[0-9a-f:]{2,39}")
_REGION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class HostsFile:
    """The lines of one region in the hosts file.

    They stand at its beginning, so that what follows stays as it is to the last byte, a missing line
    break at its end included. Regions take turns by a lock on the folder, which leaves no file behind.
    """

    def __init__(self, region_id: str, path: Path = HOSTS) -> None:
        if not _REGION.fullmatch(region_id):
            raise ValueError(f"not a region id: {region_id!r}")
        self._mark = _MARK + region_id.encode()
        # A link is followed, never replaced.
        self._path = path.resolve()

    def can_write(self) -> bool:
        """Return whether names can be published here: as root, on a file that is not read-only."""
        return os.access(self._path, os.W_OK)

    def publish(self, name: str, address: str) -> None:
        """Let ``name`` resolve to ``address``, and to nothing else that this region said before."""
        if not _NAME.fullmatch(name) or not _ADDRESS.fullmatch(address):
            raise ValueError(f"not a host name and an address: {name!r}, {address!r}")
        line = f"{address} {name} ".encode() + self._mark + b"\n"
        self._change(lambda lines: [*self._without(lines, name), line], create=True)

    def withdraw(self, name: str) -> None:
        """Take ``name`` out again; one that is not there is no error."""
        self._change(lambda lines: self._without(lines, name))

    def remove_block(self) -> int:
        """Take all names of this region out; return how many there were."""
        return self._change(lambda _: [])

    def names(self) -> dict[str, str]:
        """Return the addresses that this region published, by name."""
        own, _ = self._split(self._read())
        fields = [line.split() for line in own]
        return {name.decode(): address.decode() for address, name, *_ in fields}

    def _change(self, change: Callable[[list[bytes]], list[bytes]], *, create: bool = False) -> int:
        """Replace this region's lines; return by how many they became fewer."""
        if not create and not self._split(self._read())[0]:
            # Nothing to take out: no right to write is needed.
            return 0
        with self._explained(), _locked(self._path.parent):
            content = self._read()
            own, rest = self._split(content)
            changed = change(own)
            if changed != own:
                self._write(content, b"".join(changed) + rest)
            return len(own) - len(changed)

    def _split(self, content: bytes) -> tuple[list[bytes], bytes]:
        lines = content.splitlines(keepends=True)
        own = [line for line in lines if self._is_own(line)]
        return own, b"".join(line for line in lines if not self._is_own(line))

    def _is_own(self, line: bytes) -> bool:
        return line.rstrip(b"\r\n").endswith(b" " + self._mark)

    @staticmethod
    def _without(lines: list[bytes], name: str) -> list[bytes]:
        return [line for line in lines if line.split()[1] != name.encode()]

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def _write(self, before: bytes, content: bytes) -> None:
        try:
            _replace(self._path, content)
        except OSError:
            # In a container the file is mounted on its own: its folder may be closed, and it cannot be replaced.
            _overwrite(self._path, before, content)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HomeportError(
                f"cannot write {self._path}: {error.strerror}",
                next_step="run as root for names that resolve, or use the load balancer's address instead",
            ) from error


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".hosts.homeport.")
    try:
        with os.fdopen(handle, "wb") as stream:
            if path.exists():
                stat = path.stat()
                os.fchmod(stream.fileno(), stat.st_mode & 0o7777)
                os.fchown(stream.fileno(), stat.st_uid, stat.st_gid)
            else:
                os.fchmod(stream.fileno(), 0o644)
            stream.write(content)
            stream.flush()
            # The whole machine depends on this file: after a power cut it must be the old or the new one.
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _overwrite(path: Path, before: bytes, content: bytes) -> None:
    with path.open("r+b", buffering=0) as stream:
        try:
            _write_all(stream.fileno(), content)
            stream.truncate(len(content))
        except OSError:
            with contextlib.suppress(OSError):
                # What stood there needs no more room than it had.
                _write_all(stream.fileno(), before)
                stream.truncate(len(before))
            raise


def _write_all(handle: int, content: bytes) -> None:
    position = 0
    while position < len(content):
        position += os.pwrite(handle, content[position:], position)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise HomeportError(
                        f"another process keeps {folder} locked since {_LOCK_SECONDS:g} seconds",
                        next_step=f"find it: fuser -v {folder}",
                    ) from error
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)
