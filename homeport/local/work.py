"""One command at a time changes a state folder, and one that fails takes back what it made there."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from homeport.errors import HomeportError
from homeport.region import daemon
from homeport.region.state import StateFolder


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
        handle = _try_lock(state)
        # Another command may have removed the folder between the two.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), state.root.stat()):
                return handle
        os.close(handle)


def _try_lock(state: StateFolder) -> int:
    handle = os.open(state.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise HomeportError(
            f"another command is at work on the state folder {state.root}",
            next_step="wait until it has ended, or stop it (Ctrl-C); pgrep -af homeport finds it",
        ) from error
    return handle
