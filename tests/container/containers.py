"""Containers of the services' image, as locked up as on a machine, and gone when their test is over."""

import contextlib
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.polling import eventually

APP = Path(__file__).resolve().parents[2] / "app"
LOCKED_UP = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def docker(*arguments: str | Path, check: bool = True) -> str:
    """Run the client; its output, or a failure that shows it."""
    done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        pytest.fail(f"docker {arguments[0]} exited with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout.strip()


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of an image or a container."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", name))
    return found[0]


@dataclass(frozen=True)
class Running:
    """A running container of a service."""

    name: str
    port: int

    @property
    def url(self) -> str:
        """The service as seen from this machine."""
        published = inspect(self.name)["NetworkSettings"]["Ports"][f"{self.port}/tcp"]
        return f"http://127.0.0.1:{published[0]['HostPort']}"

    def wait_until_ready(self) -> "Running":
        """Return when /readyz says 200."""
        eventually(self._is_ready, what=f"{self.name} is ready; its log:\n{self.log()}")
        return self

    def _is_ready(self) -> bool:
        if not inspect(self.name)["State"]["Running"]:
            pytest.fail(f"{self.name} has ended: {self.log()}", pytrace=False)
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """All that it has printed."""
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def events(self) -> list[str]:
        """What its log lines tell of."""
        return [json.loads(line)["event"] for line in self.log().splitlines()]

    def python(self, program: str) -> str:
        """Run a program inside: there is nothing else to run."""
        return docker("exec", self.name, "python3", "-c", program)

    def exit_code(self) -> int:
        """Wait for its end."""
        eventually(lambda: not inspect(self.name)["State"]["Running"], what=f"{self.name} has ended")
        return int(inspect(self.name)["State"]["ExitCode"])


@contextlib.contextmanager
def container(image: str, service: str, port: int, *options: str, **settings: str) -> Iterator[Running]:
    """Start one, without waiting for it."""
    name = f"homeport-test-{uuid.uuid4().hex[:12]}"
    settings = {"HOMEPORT_SERVICE": service, "HOMEPORT_PORT": str(port), **settings}
    environment = [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
    docker(
        *("run", "--detach", "--name", name, "--publish", f"127.0.0.1::{port}", *LOCKED_UP, *environment),
        *(*options, image),
    )
    try:
        yield Running(name, port)
    finally:
        docker("rm", "--force", "--volumes", name)
