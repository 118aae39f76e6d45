"""Files that are written whole or not at all, trees that are removed whole, and errors that a person can act on."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from homeport.errors import HomeportError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text`` so that a reader sees all of it or what was there before, whenever we are killed.

    Raises ``HomeportError`` when the disk is full or the folder closed; nothing half-written is left.
    """
    with explained(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system's error while ``path`` is written into one that a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise HomeportError(
                f"no space left on the disk while writing {path}",
                next_step=f"free some space (df -h {_existing(path)}), or set HOMEPORT_STATE to a folder elsewhere",
            ) from error
        raise HomeportError(
            f"cannot write {path}: {error.strerror or error}",
            next_step="set HOMEPORT_STATE to a folder that you may write",
        ) from error


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, read-only folders (images) included; nothing there is no error."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(PermissionError):
            Path(folder).chmod(0o700)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
