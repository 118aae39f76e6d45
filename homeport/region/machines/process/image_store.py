"""Baked images on disk: folders named by content, and a link from each image id to its folder."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from homeport.errors import HomeportError

MANIFEST = "image.json"
_IMAGE_ID = re.compile(r"ami-[0-9a-f]{8,17}")


class Manifest(msgspec.Struct, frozen=True):
    """What an image is (``image.json``)."""

    name: str
    """``homeport-app-`` and the first twelve digits of the digest."""
    digest: str
    """SHA-256 (hexadecimal) of everything that goes into the image."""
    python: str
    revision: str
    """Git revision of the sources, with ``-dirty`` behind it when they had changed; empty when unknown."""
    built_at: str
    """RFC 3339, UTC."""
    command: tuple[str, ...]
    """What the machine runs; a program with a slash and no root lies in the image."""
    environment: dict[str, str]


@dataclass(frozen=True)
class Image:
    """An image that lies ready in ``folder``."""

    folder: Path
    manifest: Manifest

    @property
    def command(self) -> list[str]:
        """The machine's command with the program's absolute path."""
        program, *arguments = self.manifest.command
        return [str(self.folder / program) if "/" in program else program, *arguments]


def load(folder: Path) -> Image:
    """Return the image in ``folder``; raise ``HomeportError`` when there is none."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise HomeportError(
            f"no usable image in {folder}: {error}",
            next_step="remove that folder, then: homeport image build",
        ) from error
    if not manifest.command:
        raise HomeportError(f"the image in {folder} names no command", next_step="homeport image build")
    return Image(folder, manifest)


def link(images: Path, image_id: str, folder: Path) -> None:
    """Let ``image_id`` name the image in ``folder``, which lies in ``images``."""
    target = _link_of(images, image_id)
    temporary = images / f".{image_id}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(target)


def resolve(images: Path, image_id: str) -> Image:
    """Return the image that ``image_id`` names; raise ``HomeportError`` for an id that names none."""
    target = _link_of(images, image_id)
    if not target.is_symlink():
        raise HomeportError(
            f"image {image_id} has no folder here: it was not baked by Homeport",
            next_step="homeport image build, and launch what it registers",
        )
    return load(images / target.readlink())


def _link_of(images: Path, image_id: str) -> Path:
    if not _IMAGE_ID.fullmatch(image_id):
        raise HomeportError(f"not an image id: {image_id!r}")
    return images / image_id
