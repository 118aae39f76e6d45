"""Names of load balancers in the hosts file, each line marked with the region it belongs to.

A region's lines stand at the file's beginning, so that what follows stays as it is to the last byte, a
missing line break at its end included. Regions take turns by a lock on the folder, which leaves no file
behind.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from homeport.errors import HomeportError
from homeport.system import locks

HOSTS = Path("/etc/hosts")
_LOCK_SECONDS = 10.0
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")
_ADDRESS = re.compile(r"[0-9.]{7,15}|[0-9a-f:]{2,39}")
_REGION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def can_write(path: Path = HOSTS) -> bool:
    """Return whether names can be published here: as root, on a file that is not read-only."""
    return os.access(path.resolve(), os.W_OK)


def publish(region_id: str, name: str, address: str, path: Path = HOSTS) -> None:
    """Let ``name`` resolve to ``address``, and to nothing else that this region said before."""
    if not _NAME.fullmatch(name) or not _ADDRESS.fullmatch(address):
        raise ValueError(f"not a host name and an address: {name!r}, {address!r}")
    line = f"{address} {name}".encode() + _mark(region_id) + b"\n"
    _change(region_id, path, lambda lines: [*_without(lines, name), line], create=True)


def withdraw(region_id: str, name: str, path: Path = HOSTS) -> None:
    """Take ``name`` out again; one that is not there is no error."""
    _change(region_id, path, lambda lines: _without(lines, name))


def remove_block(region_id: str, path: Path = HOSTS) -> int:
    """Take all names of a region out; return how many there were."""
    return _change(region_id, path, lambda _: [])


def names(region_id: str, path: Path = HOSTS) -> dict[str, str]:
    """Return the addresses that a region published, by name."""
    own, _ = _split(_read(path), _mark(region_id))
    fields = [line.split() for line in own]
    return {name.decode(): address.decode() for address, name, *_ in fields}


def _change(region_id: str, path: Path, change: Callable[[list[bytes]], list[bytes]], *, create: bool = False) -> int:
    """Replace a region's lines; return by how many they became fewer."""
    mark = _mark(region_id)
    # A link is followed, never replaced.
    path = path.resolve()
    if not create and not _split(_read(path), mark)[0]:
        # Nothing to take out: no right to write is needed.
        return 0
    with _explained(path), _locked(path.parent):
        content = _read(path)
        own, rest = _split(content, mark)
        changed = change(own)
        if changed != own:
            _write(path, content, b"".join(changed) + rest)
        return len(own) - len(changed)


def _mark(region_id: str) -> bytes:
    if not _REGION.fullmatch(region_id):
        raise ValueError(f"not a region id: {region_id!r}")
    return b" # homeport region " + region_id.encode()


def _split(content: bytes, mark: bytes) -> tuple[list[bytes], bytes]:
    own: list[bytes] = []
    rest: list[bytes] = []
    for line in content.splitlines(keepends=True):
        (own if line.rstrip(b"\r\n").endswith(mark) else rest).append(line)
    return own, b"".join(rest)


def _without(lines: list[bytes], name: str) -> list[bytes]:
    return [line for line in lines if line.split()[1] != name.encode()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write(path: Path, before: bytes, content: bytes) -> None:
    try:
        _replace(path, content)
    except OSError:
        # In a container the file is mounted on its own: its folder may be closed, and it cannot be replaced.
        _overwrite(path, before, content)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HomeportError(
            f"cannot write {path}: {error.strerror}",
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
    try:
        handle = locks.take(folder, _LOCK_SECONDS)
    except locks.LockedError as error:
        raise HomeportError(
            f"another process keeps {folder} locked since {_LOCK_SECONDS:g} seconds",
            next_step=f"find it: fuser -v {folder}",
        ) from error
    try:
        yield
    finally:
        os.close(handle)
