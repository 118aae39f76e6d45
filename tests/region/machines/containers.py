"""A region whose machines are containers, for the tests that need one."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homeport.region import access
from homeport.region.machines.container import engine
from homeport.region.state import Run, StateFolder
from tests.fleets import HOMEPORT, free_port
from tests.polling import eventually

BASE = "homeport/debian:12"
BOOT_SECONDS = 120.0
"""Machines that share two cores with other tests may need a while."""


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr}"
    return done.stdout.strip()


def need_docker() -> None:
    """Skip, saying why, where no machine can be a container."""
    if os.geteuid() != 0:
        pytest.skip("containers as machines need root")
    for program in ("docker", "iptables", "ip"):
        if engine.find_program(program) is None:
            pytest.skip(f"containers as machines need {program}, not installed here")
    if not engine.reachable():
        pytest.skip("the Docker engine does not answer")
    if not docker("images", "-q", BASE):
        pytest.skip(f"there is no {BASE}: packer/debian/build makes it")


@dataclass
class ContainerRegion:
    state: StateFolder
    environment: Mapping[str, str]

    @property
    def run(self) -> Run:
        return access.running(self.state)

    def homeport(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HOMEPORT, *arguments, "--state", self.state.root],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **(self.environment if environment is None else environment)},
        )

    def client(self, service: str) -> Any:
        return access.client(service, access.settings(self.run, access.read_keys(self.state)))

    @property
    def ec2(self) -> Any:
        return self.client("ec2")

    def register(self, location: str = BASE) -> str:
        name = f"base-{location.replace(':', '-')}-{len(self.ec2.describe_images(Owners=['self'])['Images'])}"
        return self.available(self.ec2.register_image(Name=name, ImageLocation=location)["ImageId"])

    def available(self, image_id: str) -> str:
        def state() -> str:
            return str(self.ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"])

        eventually(lambda: state() != "pending", BOOT_SECONDS, f"{image_id} is made")
        assert state() == "available"
        return image_id

    def launch(self, image_id: str, count: int = 1, **more: Any) -> list[str]:
        made = self.ec2.run_instances(ImageId=image_id, MinCount=count, MaxCount=count, **more)["Instances"]
        return [one["InstanceId"] for one in made]

    def describe(self, instance_id: str) -> dict[str, Any]:
        return dict(self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0])

    def reaches(self, instance_id: str, state: str) -> dict[str, Any]:
        """Wait until an instance is in a state, and return what EC2 says of it then."""

        def look() -> dict[str, Any] | None:
            found = self.describe(instance_id)
            return found if found["State"]["Name"] == state else None

        return dict(eventually(look, BOOT_SECONDS, f"{instance_id} is {state}"))

    def inside(self, instance_id: str, script: str) -> str:
        """Run a script in a machine, as its root."""
        return docker("exec", f"homeport-{instance_id}", "sh", "-c", script)

    def booted(self, instance_id: str) -> str:
        """Wait until cloud-init has done its work in a machine."""
        name = f"homeport-{instance_id}"
        look = ["docker", "exec", name, "test", "-e", "/run/cloud-init/result.json"]
        eventually(
            lambda: subprocess.run(look, capture_output=True, check=False).returncode == 0,
            BOOT_SECONDS,
            f"cloud-init is done in {instance_id}",
        )
        return instance_id


@contextlib.contextmanager
def container_region(environment: Mapping[str, str] | None = None) -> Iterator[ContainerRegion]:
    """Start a region, and take it away whatever happens."""
    need_docker()
    folder = Path(tempfile.mkdtemp(prefix="homeport-test-"))
    folder.chmod(0o755)
    region = ContainerRegion(StateFolder(folder / "state"), environment or {})
    try:
        started = region.homeport("region", "up", "--driver", "container", "--port", str(free_port()))
        assert started.returncode == 0, started.stderr
        yield region
    finally:
        ended = region.homeport("region", "down", environment={})
        shutil.rmtree(folder, ignore_errors=True)
    assert ended.returncode == 0, ended.stderr
