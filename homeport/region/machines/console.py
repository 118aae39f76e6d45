"""A machine's console: what it prints, and what the driver says of it, in one bounded file."""

import logging
import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from homeport.system.files import remove_tree

NAME = "console.log"
LIMIT = 32 * 1024 * 1024
"""Bytes that a console may grow to before its beginning is dropped."""
KEPT = 1024 * 1024
"""Bytes of its end that stay then."""
KEPT_FOLDERS = 32
"""Folders of ended instances that stay for whoever looks for the cause."""
_BLOCK = 64 * 1024

_log = logging.getLogger(__name__)


def append(folder: Path) -> int:
    """Open the console of the machine in ``folder`` for appending; return the descriptor, to be closed."""
    return os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def note(folder: Path, message: str) -> None:
    """Write a line of the driver's own.

    A full disk only costs the line: what the driver does to the machine matters more than telling it.
    """
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        _write(folder, f"{stamp} homeport: {message}\n".encode())
    except OSError as error:
        _log.warning("%s: %s (%s)", folder.name, message, error.strerror)


def add(folder: Path, lines: Sequence[str]) -> None:
    """Add what a machine printed elsewhere; a full disk only costs the lines."""
    if not lines:
        return
    try:
        _write(folder, ("\n".join(lines) + "\n").encode())
    except OSError as error:
        _log.warning("%s: its console cannot be kept: %s", folder.name, error.strerror)


def forget_oldest(instances: Path, held: Collection[str]) -> None:
    """Keep the newest folders of ended machines; those in ``held`` have not ended."""
    try:
        ended = [path for path in instances.iterdir() if path.name not in held]
        for path in sorted(ended, key=_age)[:-KEPT_FOLDERS]:
            remove_tree(path)
    except OSError as error:
        _log.warning("%s: cannot tidy up: %s", instances, error)


def last_lines(folder: Path, lines: int) -> list[str]:
    """Return the last lines, however large the file; an absent console has none."""
    try:
        with (folder / NAME).open("rb") as stream:
            return _tail(stream.fileno(), lines)
    except FileNotFoundError:
        return []


def trim(folder: Path, limit: int = LIMIT, kept: int = KEPT) -> None:
    """Drop the beginning of a console that outgrew ``limit``.

    The machine goes on writing meanwhile: it appends, so a shortened file is no trouble to it, and a
    line that comes in between is at worst lost.
    """
    path = folder / NAME
    try:
        with path.open("r+b") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= limit:
                return
            end = os.pread(stream.fileno(), kept, size - kept)
            stream.truncate(0)
    except FileNotFoundError:
        return
    note(folder, "the console grew too large; its beginning was dropped")
    _write(folder, end[end.find(b"\n") + 1 :])


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _write(folder: Path, text: bytes) -> None:
    handle = append(folder)
    try:
        os.write(handle, text)
    finally:
        os.close(handle)


def _tail(handle: int, lines: int) -> list[str]:
    position = os.fstat(handle).st_size
    found = b""
    # One more line break than lines asked for: the first piece may begin inside a line.
    while position > 0 and found.count(b"\n") <= lines and len(found) < LIMIT:
        start = max(0, position - _BLOCK)
        found = os.pread(handle, position - start, start) + found
        position = start
    return found.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []
