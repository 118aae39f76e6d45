"""What a machine image is made from, as one digest: the same digest is the same image."""

import sys
from collections.abc import Iterator
from pathlib import Path

from homeport.system import digests

_RECIPE = "2"
"""Raise it when the same sources must give another image."""
_LEFT_OUT = {"molecule", "inventory", "collections", "__pycache__"}
"""Folders of ``ansible/`` that no bake reads, and the collections, whose versions requirements.yml says."""
_BASE = Path("packer/debian")
"""Makes the base, which counts with its own recipe."""


def digest(repository: Path, *, base: str, archive: Path) -> str:
    """Return the SHA-256 (hexadecimal) of whatever goes into a machine image.

    ``base`` names what is built upon (a recipe's digest, an AMI); ``archive`` holds the services' container image, and
    has its content's digest in its name. Times, documents and where the files lie do not count.
    """
    return digests.of_files(repository, _sources(repository), _RECIPE, base, archive.name)


def _sources(repository: Path) -> Iterator[Path]:
    for top in ("ansible", "packer"):
        for path in (repository / top).rglob("*"):
            inner = path.relative_to(repository)
            if inner.is_relative_to(_BASE) or _LEFT_OUT & set(inner.parts):
                continue
            # Editors' and tools' own files begin with a dot.
            hidden = any(part.startswith(".") for part in inner.parts)
            if path.is_file() and not hidden and path.suffix != ".md":
                yield path


if __name__ == "__main__":
    # packer/build asks: repository, base, archive.
    sys.stdout.write(digest(Path(sys.argv[1]), base=sys.argv[2], archive=Path(sys.argv[3])) + "\n")
