"""Content as one digest: the same files and facts give the same one, wherever and whenever they are."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def of_files(root: Path, files: Iterable[Path], *facts: str) -> str:
    """Return the SHA-256 (hexadecimal) of facts, and of files below ``root``: name, content, right to be executed.

    The files' order, times and owners do not count, nor does where ``root`` is.
    """
    whole = hashlib.sha256()
    whole.update("".join(f"{len(fact.encode())}\0{fact}\0" for fact in facts).encode())
    for file in sorted(files):
        content = file.read_bytes()
        executable = bool(file.stat().st_mode & 0o100)
        whole.update(f"\0{file.relative_to(root)}\0{executable}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()
