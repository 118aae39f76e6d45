"""Locks that one process at a time holds, by flock(2): the kernel lets go when the holder ends, however it does."""

import fcntl
import os
import time
from pathlib import Path

_AGAIN_SECONDS = 0.02


class LockedError(Exception):
    """Another process holds the lock."""


def take(path: Path, seconds: float | None = 0.0, *, make: bool = False) -> int:
    """Lock a folder or file and return a descriptor: whoever closes it lets go.

    Waits up to ``seconds`` for another holder, with None for ever. ``make``: a file that is missing is made. Programs
    that are started do not get the descriptor unless it is made inheritable.

    Raises:
        LockedError: when another process holds the lock still.
        OSError: when the path cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o644)
    try:
        if seconds is None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            _try_until(handle, time.monotonic() + seconds)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _try_until(handle: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise LockedError from error
            time.sleep(_AGAIN_SECONDS)
        else:
            return
