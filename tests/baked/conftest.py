"""One fleet of booted machines for the whole run, from the baked image."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.fleets import Fleet, free_port, state_folder

NEEDED = ("terraform", "docker", "packer", "iptables", "mmdebstrap")


def missing() -> str:
    """Return why this machine cannot boot a fleet, or nothing."""
    if os.geteuid() != 0:
        return "machines with addresses of their own need root"
    for program in NEEDED:
        if shutil.which(program) is None:
            return f"{program} is not on PATH"
    engine = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return f"the Docker engine does not answer: {engine.stderr.strip()}" if engine.returncode else ""


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if reason := missing():
        pytest.skip(reason)
    with state_folder() as state:
        fleet = Fleet(state, free_port(), driver="container")
        fleet.up(timeout=1200)
        yield fleet


@pytest.fixture
def whole_fleet(fleet: Fleet) -> Fleet:
    """The fleet as every test expects it: three healthy instances."""
    fleet.wait_healthy(3)
    return fleet
