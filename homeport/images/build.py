"""Bake an image for the ``process`` driver: the services' package in an environment of its own."""

import contextlib
import hashlib
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
from homeport.system import processes
from homeport.system.files import explained, remove_tree
from homeport.system.programs import last_lines

PACKAGE = "homeport_app"
COMMAND = ("venv/bin/python", "-sP", "-m", PACKAGE)
"""Without the user's packages and the working folder on the path."""
_RECIPE = "1"
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
    _clear_interrupted(state.images)
    with contextlib.suppress(HomeportError):
        image_store.load(folder)
        on_step(f"image {name} is there already")
        return folder
    remove_tree(folder)
    with _building(state.images) as draft:
        on_step(f"baking image {name} on Python {python.version} ({python.path})")
        _install(source, draft, python)
        manifest = _manifest(source, name, digest, python)
        with explained(draft):
            (draft / image_store.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            _seal(draft)
        _verify(draft)
        # Another build of the same image may have been faster; its folder is as good as ours.
        with contextlib.suppress(OSError):
            draft.rename(folder)
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
    """Hash whatever goes into the image; times and the folder's own path do not count."""
    whole = hashlib.sha256()
    facts = [_RECIPE, str(python.path), python.version, platform.machine(), *COMMAND]
    whole.update("\0".join(facts).encode())
    root = source / "src"
    files = [source / "requirements.lock", source / "services.yaml", *sorted(_sources(root / PACKAGE))]
    for file in files:
        content = file.read_bytes()
        whole.update(f"\0{file.relative_to(source)}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()


def _sources(package: Path) -> Iterator[Path]:
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


@contextlib.contextmanager
def _building(images: Path) -> Iterator[Path]:
    # The start time tells a build that still runs from one whose pid somebody else has now.
    draft = images / f"{_BUILDING}{os.getpid()}-{processes.start_time(os.getpid())}"
    with explained(draft):
        remove_tree(draft)
        draft.mkdir(mode=0o755)
    try:
        yield draft
    finally:
        remove_tree(draft)


def _clear_interrupted(images: Path) -> None:
    for path in images.glob(f"{_BUILDING}*"):
        pid, _, started = path.name.removeprefix(_BUILDING).partition("-")
        running = pid.isdigit() and started.isdigit() and processes.alive(int(pid), int(started))
        if not running:
            remove_tree(path)


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
