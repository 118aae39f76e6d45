"""One command at a time changes a state folder, and one that fails takes back what it made there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region import daemon
from homeport.region.state import StateFolder
from homeport.system import locks


@contextlib.contextmanager
def at_work(state: StateFolder) -> Iterator[None]:
    """Make the state folder and keep other commands that change it away, by flock(2) on the folder itself.

    A command that fails before a region answers leaves a folder that was not there before as it found it.
    """
    fresh = not state.lock.exists()
    handle = _lock(state)
    try:
        yield
    except BaseException:
        # What went wrong first is the news.
        with contextlib.suppress(HomeportError, OSError):
            if daemon.alive(state) is None:
                daemon.stop(state)
                state.run_file.unlink(missing_ok=True)
                if fresh:
                    state.remove()
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def at_the_end(state: StateFolder) -> Iterator[None]:
    """As ``at_work``, for a folder that is to go: one that is not there is no error and is not made."""
    state.check()
    handle = _try_lock(state) if state.root.exists() else None
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(state: StateFolder) -> int:
    while True:
        state.create()
        # Another command may remove the folder meanwhile.
        with contextlib.suppress(FileNotFoundError):
            handle = _try_lock(state)
            if _is_of(handle, state.root):
                return handle
            os.close(handle)


def _is_of(handle: int, folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), folder.stat())
    return False


def _try_lock(state: StateFolder) -> int:
    try:
        return locks.take(state.root)
    except locks.LockedError as error:
        raise HomeportError(
            f"another command is at work on the state folder {state.root}",
            next_step="wait until it has ended, or stop it (Ctrl-C); pgrep -af homeport finds it",
        ) from error
