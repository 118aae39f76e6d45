"""Building: by content, at most once, and with nothing half-made left behind."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from homeport.errors import HomeportError
from homeport.images import container as build
from homeport.images.container import Archive, build_container
from tests.container.containers import APP, docker, inspect
from tests.polling import eventually
from tests.signals import interruptible

ROOT = APP.parent


PROGRAM = """
import sys
from pathlib import Path
from homeport.images.container import build_container
build_container(Path(sys.argv[1]), Path(sys.argv[2]), on_step=lambda text: print(text, flush=True))
"""
BUILD = (sys.executable, "-c", PROGRAM)
"""A build in a process of its own; the application and the cache are still to be named."""


def left_in(cache: Path) -> list[str]:
    """What lies in a cache, but for its lock."""
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock")


def hide_docker(folder: Path, patched: pytest.MonkeyPatch, command: str, script: str) -> None:
    """Put a client first on PATH that does something else at one command."""
    programs = folder / "bin"
    programs.mkdir()
    client = programs / "docker"
    client.write_text(f'#!/bin/sh\nif [ "$1" = {command} ]; then {script}; fi\nexec {shutil.which("docker")} "$@"\n')
    client.chmod(0o755)
    patched.setenv("PATH", f"{programs}:{os.environ['PATH']}")


def test_a_second_build_changes_nothing_and_builds_nothing(archive: Archive, cache: Path) -> None:
    before = (inspect(archive.reference)["Id"], archive.path.stat())
    steps: list[str] = []
    assert build_container(APP, cache, on_step=steps.append) == archive
    assert (inspect(archive.reference)["Id"], archive.path.stat()) == before
    assert f"{archive.reference} is there already" in steps
    assert not [step for step in steps if step.startswith("building")]


def test_the_command_prints_the_path_alone(tmp_path: Path) -> None:
    command = [ROOT / ".venv" / "bin" / "homeport", "image", "container", "--output", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [str(tmp_path / "out" / name) for name in left_in(tmp_path / "out")] == done.stdout.splitlines()


@pytest.mark.parametrize(
    "name", ["Dockerfile", "base/assemble.py", "base/healthcheck.py", "requirements.lock", "services.yaml", "src"]
)
def test_other_content_is_another_image(other_app: Path, name: str) -> None:
    before = build._digest(other_app, "base", "amd64")
    changed = other_app / name if name != "src" else other_app / "src" / "homeport_app" / "logs.py"
    changed.write_text(changed.read_text() + "\n")
    assert build._digest(other_app, "base", "amd64") != before


def test_another_base_or_architecture_is_another_image() -> None:
    digests = {build._digest(APP, *facts) for facts in (("a", "amd64"), ("b", "amd64"), ("a", "arm64"))}
    assert len(digests) == 3


def test_times_and_compiled_modules_do_not_count(other_app: Path) -> None:
    before = build._digest(other_app, "base", "amd64")
    (other_app / "services.yaml").touch()
    compiled = other_app / "src" / "homeport_app" / "__pycache__"
    compiled.mkdir()
    (compiled / "logs.cpython-311.pyc").write_bytes(b"")
    assert build._digest(other_app, "base", "amd64") == before


def test_what_a_killed_build_left_is_cleared_and_built(other_app: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command = [*BUILD, other_app, cache]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as building:
        assert building.stdout
        next(line for line in building.stdout if line.startswith("building"))
        eventually(lambda: list(cache.glob(".building-*/context/Dockerfile")), what="the build is under way")
        building.kill()
    assert not list(cache.glob("*.tar"))
    assert list(cache.glob(".building-*"))
    archive = build_container(other_app, cache)
    assert left_in(cache) == [archive.path.name]


def test_what_outlives_a_killed_build_is_waited_for(
    other_app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, held, reached = (tmp_path / name for name in ("cache", "held", "reached"))
    held.touch()
    # Polls for a minute at most: nobody else ends it should the test be killed.
    script = f"touch {reached}; n=0; while [ -e {held} ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n + 1)); done; exit 1"
    with monkeypatch.context() as patched:
        hide_docker(tmp_path, patched, "build", script)
        with subprocess.Popen([*BUILD, other_app, cache], cwd=ROOT, stdout=subprocess.DEVNULL) as building:
            eventually(reached.exists, what="the engine's client is building")
            building.kill()
    steps: list[str] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            again = pool.submit(build_container, other_app, cache, on_step=steps.append)
            eventually(lambda: again.done() or f"waiting for another build in {cache}" in steps, what="it waits")
            assert not again.done()
        finally:
            held.unlink()
        archive = again.result()
    assert left_in(cache) == [archive.path.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_clears_up_itself(other_app: Path, tmp_path: Path, number: int) -> None:
    cache = tmp_path / "cache"
    program = (
        "import sys; from pathlib import Path; import homeport.cli.image as image; import homeport.cli as cli\n"
        "clone = Path(sys.argv.pop()).parent; image.repository = lambda: clone\n"
        "cli.main()"
    )
    command = [sys.executable, "-c", program, "image", "container", "--output", str(cache), str(other_app)]
    with subprocess.Popen([*interruptible(), *command], cwd=ROOT, stderr=subprocess.PIPE, text=True) as building:
        assert building.stderr
        next(line for line in building.stderr if line.strip().startswith("building"))
        building.send_signal(number)
        told = building.stderr.read()
    assert building.returncode == 128 + number, told
    assert "interrupted" in told
    assert left_in(cache) == []


@pytest.mark.parametrize("fault", ["def (", "import nowhere_to_be_found"])
def test_an_application_that_cannot_start_becomes_no_image(other_app: Path, tmp_path: Path, fault: str) -> None:
    broken = other_app / "src" / "homeport_app" / "logs.py"
    broken.write_text(f"{broken.read_text()}\n{fault}\n")
    before = docker("image", "ls", "--quiet", "homeport/app")
    with pytest.raises(HomeportError) as raised:
        build_container(other_app, tmp_path / "cache")
    assert "logs.py" in raised.value.log
    assert raised.value.next_step
    assert left_in(tmp_path / "cache") == []
    assert docker("image", "ls", "--quiet", "homeport/app") == before


def test_files_that_only_their_owner_reads_are_read_in_the_image(other_app: Path, tmp_path: Path) -> None:
    for path in other_app.rglob("*"):
        path.chmod(path.stat().st_mode & ~(stat.S_IRWXG | stat.S_IRWXO))
    mask = os.umask(0o077)
    try:
        archive = build_container(other_app, tmp_path / "cache")
    finally:
        os.umask(mask)
    assert archive.path.stat().st_mode & 0o777 == 0o644


def test_a_lost_image_comes_back_from_its_archive(other_app: Path, tmp_path: Path) -> None:
    archive = build_container(other_app, tmp_path / "cache")
    image = inspect(archive.reference)["Id"]
    docker("image", "rm", "--force", archive.reference)
    steps: list[str] = []
    assert build_container(other_app, tmp_path / "cache", on_step=steps.append) == archive
    assert inspect(archive.reference)["Id"] == image
    assert not [step for step in steps if step.startswith("building")]


def test_missing_docker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HomeportError, match="docker is not installed") as raised:
        build_container(APP, tmp_path / "cache")
    assert "apt-get install" in raised.value.next_step


def test_an_engine_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(HomeportError, match="the Docker engine does not answer") as raised:
        build_container(APP, tmp_path / "cache")
    assert "nobody.sock" in raised.value.log
    assert "systemctl start docker" in raised.value.next_step


@pytest.mark.parametrize("command", ["build", "save"])
def test_a_full_disk_is_told(other_app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    # The engine's own disk cannot be filled for a test.
    hide_docker(tmp_path, monkeypatch, command, "echo 'write /x: no space left on device' >&2; exit 1")
    with pytest.raises(HomeportError, match="no space left on the disk") as raised:
        build_container(other_app, tmp_path / "cache")
    assert "df -h" in raised.value.next_step
    assert left_in(tmp_path / "cache") == []


def test_a_cache_on_a_full_disk_is_told(other_app: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", cache], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(HomeportError, match="no space left on the disk"):
            build_container(other_app, cache)
        assert left_in(cache) == []
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", cache], check=True)


def test_an_incomplete_clone_is_told(other_app: Path, tmp_path: Path) -> None:
    (other_app / "requirements.lock").unlink()
    with pytest.raises(HomeportError, match=r"requirements\.lock is missing"):
        build_container(other_app, tmp_path / "cache")
