"""Fleets for tests: brought up as a user does, and taken away whatever happens."""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homeport.region import access
from homeport.region.state import StateFolder
from homeport.system import processes
from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[1]
HOMEPORT = ROOT / ".venv" / "bin" / "homeport"


def run(*arguments: str, check: bool = True, env: dict[str, str] | None = None, timeout: float = 300) -> Any:
    """Run a command, its output in the failure when it fails."""
    done = subprocess.run(
        [str(a) for a in arguments], capture_output=True, text=True, timeout=timeout, env=env, cwd=ROOT, check=False
    )
    if check and done.returncode != 0:
        pytest.fail(f"{arguments} exited with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done


def wait(what: str, condition: Callable[[], Any], deadline: float = 30) -> Any:
    """Poll until the condition holds and return its value; fail with its last value."""
    return eventually(condition, deadline, what)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def state_folder() -> Iterator[StateFolder]:
    """A state folder that the services' unprivileged user may pass through; pytest's own is closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="homeport-e2e-"))
    folder.chmod(0o755)
    state = StateFolder(folder / "state")
    try:
        yield state
    finally:
        run(HOMEPORT, "down", "--state", state.root, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Fleet:
    """A running fleet and the ways to look at it."""

    state: StateFolder
    port: int
    driver: str = "process"

    def homeport(self, *arguments: str, **options: Any) -> Any:
        return run(HOMEPORT, *arguments, "--state", self.state.root, **options)

    def up(self, **options: Any) -> Any:
        return self.homeport("up", "--port", str(self.port), "--driver", self.driver, **options)

    def status(self) -> dict[str, Any]:
        return json.loads(self.homeport("status", "--json").stdout)["services"]["balance"]

    def shell(self, script: str, **options: Any) -> Any:
        """Run a script as a user would, after eval of the region's settings."""
        # The user's own aws comes first; the lock brings one for machines that have none.
        prefix = f'set -eu; PATH="$PATH:{HOMEPORT.parent}"; eval "$({HOMEPORT} region env --state {self.state.root})"\n'
        return run("bash", "-c", prefix + script, **options)

    def terraform(self, *arguments: str, **options: Any) -> Any:
        return self.homeport("terraform", *arguments, **options)

    def client(self, service: str) -> Any:
        return access.client(service, access.settings(access.running(self.state), access.read_keys(self.state)))

    @property
    def url(self) -> str:
        return f"{self.status()['url']}/users/alice/balance"

    def wait_healthy(self, count: int, deadline: float = 60) -> dict[str, Any]:
        """Wait until exactly so many instances are there, all in service and healthy."""

        def healthy() -> Any:
            status = self.status()
            return status if status["healthy"] == count == len(status["instances"]) else None

        return wait(f"{count} healthy instances", healthy, deadline)


def marked_processes(state: StateFolder) -> list[int]:
    """Return the processes that carry the mark of a state folder."""
    return [found.pid for found in processes.find_marked((processes.STATE_MARK, str(state.root)))]
