import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.region.state import StateFolder
from homeport.system import processes
from homeport.system.files import remove_tree


@pytest.fixture
def state() -> Iterator[StateFolder]:
    # Not pytest's own folder: the services' unprivileged user could not pass through it.
    root = Path(tempfile.mkdtemp(prefix="homeport-test-"))
    root.chmod(0o755)
    folder = StateFolder(root / "state")
    folder.create()
    yield folder
    remove_tree(root)


@pytest.fixture
def full_disk() -> Iterator[Path]:
    """A disk of 256 KiB, nearly empty still."""
    if os.geteuid() != 0:
        pytest.skip("a full disk of one's own needs root, to mount one")
    folder = Path(tempfile.mkdtemp(prefix="homeport-test-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", folder]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"a full disk cannot be made here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


@pytest.fixture
def fill() -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        facts = os.statvfs(folder)
        (folder / "ballast").write_bytes(b"x" * (facts.f_bavail * facts.f_frsize))

    return write


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python code in a session of its own; it must print one line once it is ready."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={"PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        started.append(process)
        assert process.stdout is not None
        process.ready = process.stdout.readline().strip()  # type: ignore[attr-defined]
        return process

    yield run
    for process in started:
        processes.kill_session(process.pid)
        process.wait(10)
        process.stdout.close()
