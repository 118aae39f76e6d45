"""The Docker engine: how it is reached, and what is said when it is not there or refuses."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from homeport.errors import HomeportError
from homeport.system import programs
from homeport.system.programs import find_program

SOCKET = Path("/var/run/docker.sock")
TIMEOUT = 600.0
"""Seconds for one answer: an image of a machine takes its time on a slow disk."""
_LOOK_TIMEOUT = 10.0
_RUN_TIMEOUT = 60.0
START_HINT = "systemctl start docker (without systemd: dockerd &), then the same command again"


def check_host() -> None:
    """Raise ``HomeportError`` for what the container driver needs and this machine lacks, the first thing first."""
    missing = [name for name in ("iptables", "ip") if find_program(name) is None]
    if not (find_program("dockerd") or SOCKET.exists() or os.environ.get("DOCKER_HOST")):
        missing.insert(0, "the Docker engine")
    if missing:
        raise HomeportError(
            f"machines that are containers need {' and '.join(missing)}, not installed here",
            next_step="apt-get install docker.io iptables iproute2, or homeport up --driver process",
        )
    if os.geteuid() != 0:
        raise HomeportError(
            "machines that are containers need root: they get a network and its packet filter rules",
            next_step="sudo -E, or homeport up --driver process",
        )
    with contextlib.closing(connect()):
        pass


def connect(timeout: float = TIMEOUT) -> docker.APIClient:
    """Return a client of this machine's engine that has answered; raise ``HomeportError`` when none does."""
    named = os.environ.get("DOCKER_HOST", "")
    if named and not named.startswith("unix://"):
        raise HomeportError(
            f"DOCKER_HOST={named} is another machine's engine: this one could not reach the machines there",
            next_step="unset DOCKER_HOST",
        )
    with explained("reach the Docker engine"):
        return docker.APIClient(base_url=named or f"unix://{SOCKET}", version="auto", timeout=timeout)  # type: ignore[arg-type]


def reachable() -> bool:
    """Return whether there is an engine to look for our things in."""
    try:
        connect(_LOOK_TIMEOUT).close()
    except HomeportError:
        return False
    return True


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what Docker or the way to it says into an error that a person can act on; ``what`` follows "cannot"."""
    try:
        yield
    except (ImageNotFound, NotFound) as error:
        raise HomeportError(f"cannot {what}: {error.explanation or error}") from error
    except (DockerException, RequestException) as error:
        if said := getattr(error, "explanation", None):
            raise HomeportError(f"cannot {what}: {said}", next_step="docker info; docker ps -a") from error
        raise HomeportError(f"cannot {what}: the Docker engine does not answer", next_step=START_HINT) from error


def run(command: Sequence[str], *, absent_is_fine: bool = False) -> str:
    """Run a system program and return its output; ``absent_is_fine`` for the removal of what may be gone."""
    program = find_program(command[0])
    if program is None:
        raise HomeportError(f"{command[0]} is not installed", next_step="apt-get install iptables iproute2")
    # Such as iptables, while somebody else holds its lock, may wait for ever.
    done = programs.run([program, *command[1:]], " ".join(command), seconds=_RUN_TIMEOUT, may_fail=absent_is_fine)
    return done.stdout
