"""Bake an image for the ``process`` driver: the services' package in an environment of its own."""

import contextlib
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uv

from homeport.errors import HomeportError
from homeport.images import interpreter
from homeport.images.commands import run
from homeport.region.machines.process import image_store
from homeport.region.state import StateFolder
from homeport.system import digests, processes
from homeport.system.drafts import draft
from homeport.system.files import explained, remove_tree
from homeport.system.programs import last_lines

PACKAGE = "homeport_app"
COMMAND = ("venv/bin/python", "-sP", "-m", PACKAGE)
"""Without the user's packages and the working folder on the path."""
_RECIPE = "2"
"""Raise it when the same sources must give another image."""
_BUILDING = ".building-"


def build_image(source: Path, state: StateFolder, *, on_step: Callable[[str], None] = lambda _: None) -> Path:
    """Bake the application in ``source`` (the repository's ``app``) and return the image's folder.

    The image is named by its content: the same sources, lock and Python give the same image, which is
    not built again. ``on_step`` is told what goes on. Raises ``HomeportError``, with nothing half-made
    left behind; what a killed build left is cleared away by the next one.
    """
    _check(source)
    state.create()
    python = interpreter.choose()
    digest = _digest(source, python)
    name = f"homeport-app-{digest[:12]}"
    folder = state.images / name
    with draft(
        state.images, _BUILDING, on_wait=lambda: on_step(f"waiting for another build in {state.images}")
    ) as building:
        with contextlib.suppress(HomeportError):
            image_store.load(folder)
            on_step(f"image {name} is there already")
            return folder
        remove_tree(folder)
        on_step(f"baking image {name} on Python {python.version} ({python.path})")
        # The services' unprivileged user looks at it.
        building.chmod(0o755)
        _install(source, building, python)
        manifest = _manifest(source, name, digest, python)
        with explained(building):
            (building / image_store.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            _seal(building)
        _verify(building)
        with explained(folder):
            building.rename(folder)
        image_store.load(folder)
    return folder


def _check(source: Path) -> None:
    for needed in (source / "src" / PACKAGE / "__init__.py", source / "requirements.lock", source / "services.yaml"):
        if not needed.is_file():
            raise HomeportError(
                f"{needed} is missing: {source} holds no application to bake",
                next_step="run this in a complete clone of the repository",
            )


def _digest(source: Path, python: interpreter.Interpreter) -> str:
    files = [source / "requirements.lock", source / "services.yaml", *modules(source)]
    return digests.of_files(source, files, _RECIPE, str(python.path), python.version, platform.machine(), *COMMAND)


def modules(source: Path) -> Iterator[Path]:
    """Yield the files of the services' package, without what Python compiled from them."""
    for path in (source / "src" / PACKAGE).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def _install(source: Path, draft: Path, python: interpreter.Interpreter) -> None:
    venv = draft / "venv"
    _uv("venv", "--quiet", "--no-project", "--relocatable", "--python", str(python.path), str(venv))
    sync = [
        *("pip", "sync", "--quiet", "--python", str(venv / "bin" / "python"), "--require-hashes"),
        # Links into uv's cache would share its permissions, and the image's are taken away.
        *("--allow-empty-requirements", "--link-mode", "copy", "--compile-bytecode"),
        str(source / "requirements.lock"),
    ]
    try:
        # What uv has in its cache needs no network, not even to ask for news.
        _uv(*sync, "--offline")
    except HomeportError:
        _uv(*sync)
    packages = next(venv.glob("lib/python3.*/site-packages"))
    with explained(draft):
        shutil.copytree(
            source / "src" / PACKAGE, packages / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        shutil.copyfile(source / "services.yaml", draft / "services.yaml")
    compile_all = [str(venv / "bin" / "python"), "-m", "compileall", "-q", str(packages / PACKAGE)]
    run(compile_all, "the application does not compile", "mend what the lines above say, then run it again")


def _uv(*arguments: str) -> None:
    run(
        [uv.find_uv_bin(), *arguments],
        f"uv {' '.join(arguments[:2])} failed",
        "see the lines above; without network, fill uv's cache first: uv pip sync app/requirements.lock",
    )


def _manifest(source: Path, name: str, digest: str, python: interpreter.Interpreter) -> image_store.Manifest:
    built_at = datetime.now(UTC).isoformat(timespec="seconds")
    revision = revision_of(source)
    return image_store.Manifest(
        name=name,
        digest=digest,
        python=python.version,
        revision=revision,
        built_at=built_at,
        command=COMMAND,
        environment={
            "HOMEPORT_VERSION_REVISION": revision or "unknown",
            "HOMEPORT_VERSION_IMAGE": name,
            "HOMEPORT_VERSION_BUILT_AT": built_at,
        },
    )


def revision_of(source: Path) -> str:
    """Return the git revision of the sources, with ``-dirty`` behind it when they have changed; empty when unknown."""
    git = shutil.which("git")
    if git is None:
        return ""
    head = subprocess.run([git, "-C", source, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return ""
    changed = subprocess.run(
        [git, "-C", source, "status", "--porcelain", "--", "."], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")


def _seal(draft: Path) -> None:
    """Readable by all, writable by none: what was baked is what runs."""
    for folder, _, files in os.walk(draft, topdown=False):
        for path in [Path(folder) / file for file in files]:
            if not path.is_symlink():
                executable = path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o555 if executable else 0o444)
        Path(folder).chmod(0o555)


def _verify(draft: Path) -> None:
    """Import the application as a machine's user would."""
    done = interpreter.run_unprivileged([str(draft / COMMAND[0]), *COMMAND[1:-2], "-c", f"import {PACKAGE}"])
    if done.returncode != 0:
        account = processes.unprivileged_account()
        who = f" by user {account.name}" if account else ""
        raise HomeportError(
            f"the baked application cannot be imported{who}",
            next_step="when a folder is closed to that user, set HOMEPORT_STATE to one that is not",
            log=last_lines(done.stderr),
        )
