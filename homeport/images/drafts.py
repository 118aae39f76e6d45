"""A cache in which one build works at a time, in a folder of its own for what is half-made."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from homeport.system.files import remove_tree

Explained = Callable[[Path], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def alone(cache: Path, lock: str, prefix: str, *, explained: Explained, on_wait: Callable[[], None]) -> Iterator[Path]:
    """Keep others that take ``lock`` off the cache, and give a folder whose name begins with ``prefix``.

    What killed builds left under that prefix goes first. ``explained`` turns an operating system's error into one
    for a person; ``on_wait`` is called before the wait for another build.
    """
    with explained(cache):
        cache.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = os.open(cache / lock, os.O_RDWR | os.O_CREAT, 0o644)
        # What a build has started holds the lock as well: killed, it may leave a program that still writes.
        os.set_inheritable(handle, True)  # noqa: FBT003 - its one argument
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        with explained(cache):
            # Nobody else builds here now: these are what killed builds left.
            for path in cache.glob(f"{prefix}*"):
                remove_tree(path)
            draft = Path(tempfile.mkdtemp(dir=cache, prefix=prefix))
        try:
            yield draft
        finally:
            remove_tree(draft)
    finally:
        os.close(handle)
