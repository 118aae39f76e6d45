"""Build the services' container image, and the archive that machines load."""

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uv

from homeport.errors import HomeportError
from homeport.images.build import PACKAGE, modules, revision_of
from homeport.images.commands import run
from homeport.system import digests
from homeport.system.drafts import draft
from homeport.system.files import remove_tree

CURRENT = "localhost/homeport/app:current"
"""What the archive's image is called on a machine."""
_RECIPE = "2"
"""Raise it when the same sources must give another image."""
_BUILDING = ".building-"
_INPUTS = ("Dockerfile", "base/assemble.py", "base/healthcheck.py", "requirements.lock", "services.yaml")
_PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
_START_ENGINE = "systemctl start docker (or, without systemd: sudo dockerd &), then again; docker info tells more"


@dataclass(frozen=True)
class Archive:
    """A container image in a file that ``docker load`` and ``podman load`` read."""

    path: Path
    reference: str
    """The image's name on this machine; on the one that loads the archive it is also ``CURRENT``."""
    digest: str
    """SHA-256 (hexadecimal) of everything that goes into the image."""


def default_cache() -> Path:
    """Return the folder for archives; unlike a state folder it outlives ``homeport down``."""
    if os.geteuid() == 0:
        return Path("/var/cache/homeport")
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "homeport"


def build_container(source: Path, state_cache: Path, *, on_step: Callable[[str], None] = lambda _: None) -> Archive:
    """Build the image of the application in ``source`` (the repository's ``app``) and return its archive.

    Image and archive are named by their content: the same sources, lock, recipe and base give the same image, which
    is not built again. ``on_step`` is told what goes on. Raises ``HomeportError``, with nothing half-made left
    behind; what a killed build left is cleared away by the next one.
    """
    _check(source)
    architecture = _architecture()
    cache = state_cache.absolute()
    with draft(
        cache,
        _BUILDING,
        lock=".lock",
        explained=_explained,
        on_wait=lambda: on_step(f"waiting for another build in {cache}"),
    ) as building:
        base = _base(source, on_step)
        digest = _digest(source, base, architecture)
        archive = Archive(cache / f"homeport-app-{digest[:12]}.tar", f"homeport/app:{digest[:12]}", digest)
        # It has this name only since it was seen to work.
        image = _id(archive.reference)
        if archive.path.is_file():
            if not image:
                _docker("load", "--quiet", "--input", str(archive.path))
            on_step(f"{archive.reference} is there already")
            return archive
        if not image:
            on_step(f"building {archive.reference} on {base}")
            _stage(source, building / "context", architecture)
            image = _build(source, building, base, archive.reference)
            _verify(image)
            _docker("tag", image, archive.reference)
        on_step(f"saving {archive.path}")
        _docker("tag", image, CURRENT)
        _save(archive, image, building / "image.tar")
    return archive


def _check(source: Path) -> None:
    for name in (*_INPUTS, "base/build", f"src/{PACKAGE}/__init__.py"):
        if not (source / name).is_file():
            raise HomeportError(
                f"{source / name} is missing: {source} holds no application to build",
                next_step="run this in a complete clone of the repository",
            )
    if shutil.which("docker") is None:
        raise HomeportError("docker is not installed", next_step="apt-get install docker.io")


def _architecture() -> str:
    """Return the engine's processor architecture as Docker names it; the engine may be another machine's."""
    done = run(
        ["docker", "version", "--format", "{{.Server.Arch}}"], "the Docker engine does not answer", _START_ENGINE
    )
    architecture = done.stdout.strip()
    if architecture not in _PLATFORMS:
        raise HomeportError(
            f"no image can be built on {architecture or 'an unknown architecture'}",
            next_step=f"use a Docker engine on {' or '.join(_PLATFORMS)}",
        )
    return architecture


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an operating system's error while ``path`` is written into one that a person can act on."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fault = "no space left on the disk" if full else error.strerror or error
        raise HomeportError(
            f"cannot write {path}: {fault}", next_step="name another folder: homeport image container --output FOLDER"
        ) from error


def _base(source: Path, on_step: Callable[[str], None]) -> str:
    """Have the base image made or pulled where it is missing, and return what it is."""
    on_step("looking for the base image; app/base/build makes it when it is missing")
    command = source / "base" / "build"
    done = run([str(command)], "the base image cannot be made", f"mend that, or see more: {command} --update")
    for line in done.stderr.splitlines():
        if line.startswith("warning: "):
            on_step(line)
    return done.stdout.strip()


def _digest(source: Path, base: str, architecture: str) -> str:
    return digests.of_files(source, _sources(source), _RECIPE, base, architecture)


def _sources(source: Path) -> list[Path]:
    return [*(source / name for name in _INPUTS), *modules(source)]


def _stage(source: Path, context: Path, architecture: str) -> None:
    """Lay out what the Dockerfile copies, and no more, so that the engine is sent nothing else."""
    packages = context / "packages"
    with _explained(context):
        for file in _sources(source):
            target = context / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    # Put there rather than installed: packages for the image's Python, which this machine need not have.
    install = [
        *(uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--link-mode", "copy"),
        *("--python-version", _python(source), "--python-platform", _PLATFORMS[architecture]),
        *("--require-hashes", "--only-binary", ":all:", "--target", str(packages)),
        *("--requirements", str(source / "requirements.lock")),
    ]
    failed = "the services' packages cannot be had"
    try:
        # What uv has in its cache needs no network, not even to ask for news.
        run([*install, "--offline"], failed, "")
    except HomeportError:
        remove_tree(packages)
        run(install, failed, "check the network; uv keeps what it has once downloaded")
    with _explained(context):
        # Command line tools, whose first line names this machine's Python, and uv's own mark.
        remove_tree(packages / "bin")
        (packages / ".lock").unlink(missing_ok=True)
        # The image's user must read it all, whatever the caller's umask.
        for path in (context, *context.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def _python(source: Path) -> str:
    """Return the image's Python, such as 3.13: the Dockerfile's base is named after it."""
    found = re.search(r"^FROM \S+:([0-9]+\.[0-9]+) AS base$", (source / "Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        raise HomeportError(
            f"{source / 'Dockerfile'} does not say which Python its base has",
            next_step="name it there as in: FROM homeport/python:3.13 AS base",
        )
    return found[1]


def _build(source: Path, building: Path, base: str, reference: str) -> str:
    """Build the image and return its id; it has no name yet, because nobody has seen it work."""
    facts = {
        "BASE_NAME": base,
        "HOMEPORT_VERSION_REVISION": revision_of(source) or "unknown",
        "HOMEPORT_VERSION_IMAGE": reference,
        "HOMEPORT_VERSION_BUILT_AT": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    arguments = [text for name, value in facts.items() for text in ("--build-arg", f"{name}={value}")]
    id_file = building / "image.id"
    _docker(
        "build", "--network", "none", "--force-rm", "--iidfile", str(id_file), *arguments, str(building / "context")
    )
    return id_file.read_text().strip()


def _verify(image: str) -> None:
    """Run the image as a machine does: it must import every service and answer."""
    _docker("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", image, "settings")


def _save(archive: Archive, image: str, building: Path) -> None:
    _docker("save", "--output", str(building), archive.reference, CURRENT)
    with tarfile.open(building) as opened:
        member = opened.extractfile("manifest.json")
        listed = json.load(member) if member else []
    if len(listed) != 1 or sorted(listed[0]["RepoTags"]) != sorted((archive.reference, CURRENT)):
        # Another build, in another cache, gave the second name to its own image between our two commands.
        raise HomeportError(
            f"the archive of {archive.reference} does not hold {image} alone", next_step="homeport image container"
        )
    with _explained(archive.path):
        building.chmod(0o644)
        building.replace(archive.path)


def _id(reference: str) -> str:
    """Return the id of the image that the engine knows under this name; nothing when there is none."""
    return _docker("image", "ls", "--quiet", "--no-trunc", reference).stdout.strip()


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(["docker", *arguments], f"docker {arguments[0]} failed", "see the lines above; docker info tells more")
