"""Half-made files: one process at a time makes something in a folder, and what a killed one left goes."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from homeport.system import files, locks
from homeport.system.files import remove_tree

Explained = Callable[[Path], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def draft(
    folder: Path, prefix: str, *, lock: str = "", explained: Explained = files.explained, on_wait: Callable[[], None]
) -> Iterator[Path]:
    """Give a new folder inside ``folder``, whose name begins with ``prefix``; it goes at the end, whatever is in it.

    Others that take the same lock wait: that of ``folder`` itself, or of its file ``lock``. What killed ones left under
    the prefix is removed. ``explained`` turns an operating system's error into one for a person; ``on_wait`` is called
    before a wait. What is made is moved out of the draft at once, so that a reader sees all of it or nothing.
    """
    with explained(folder):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = folder / lock
        try:
            handle = locks.take(path, make=bool(lock))
        except locks.LockedError:
            on_wait()
            handle = locks.take(path, None, make=bool(lock))
    try:
        # What is started here holds the lock as well: this process killed, it may go on writing.
        os.set_inheritable(handle, True)  # noqa: FBT003 - its one argument
        with explained(folder):
            # Nobody else works here now: these are what killed ones left.
            for left in folder.glob(f"{prefix}*"):
                remove_tree(left)
            made = Path(tempfile.mkdtemp(dir=folder, prefix=prefix))
        try:
            yield made
        finally:
            remove_tree(made)
    finally:
        os.close(handle)
