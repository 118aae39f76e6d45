"""The base: published and pinned by digest, or made from Debian's packages; the Dockerfile takes either."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.images.container import build_container
from tests.container.containers import docker, inspect
from tests.fleets import free_port
from tests.polling import eventually

BASE = "homeport/python:3.13"
PUBLISHED = "library/python:3.13-slim-trixie"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry on this machine that holds the base under the published one's name."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry): nothing to pull a base from")
    address = f"127.0.0.1:{free_port()}"
    settings = tmp_path / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    with (tmp_path / "registry.log").open("w") as log:
        process = subprocess.Popen([program, "serve", settings], stdout=log, stderr=log)
    name = f"{address}/{PUBLISHED}"
    try:
        docker("tag", BASE, name)
        eventually(lambda: docker("push", name, check=False), what="the registry takes the base")
        docker("image", "rm", name)
        yield address
    finally:
        process.terminate()
        process.wait(10)
        for line in docker("image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}}").splitlines():
            if line.startswith(f"{address}/"):
                docker("image", "rm", line)


def test_a_pinned_base_is_pulled_and_named(image: str, other_app: Path, registry: str, tmp_path: Path) -> None:
    pin = [other_app / "base" / "pin", f"{registry}/{PUBLISHED}"]
    lock = subprocess.run(pin, capture_output=True, text=True, check=True).stdout.splitlines()
    reference = lock[-1]
    assert reference.startswith(f"{registry}/library/python@sha256:")
    assert (other_app / "base" / "base.lock").read_text().splitlines() == lock
    docker("image", "rm", f"{registry}/{PUBLISHED}", reference, check=False)
    archive = build_container(other_app, tmp_path / "cache")
    assert inspect(archive.reference)["Config"]["Labels"]["org.opencontainers.image.base.name"] == reference


def test_without_the_registry_the_base_is_made_from_packages(image: str, other_app: Path, tmp_path: Path) -> None:
    (other_app / "base" / "base.lock").write_text(f"127.0.0.1:{free_port()}/library/python@sha256:{'0' * 64}\n")
    steps: list[str] = []
    archive = build_container(other_app, tmp_path / "cache", on_step=steps.append)
    assert any(step.startswith("warning: the pinned base cannot be pulled") for step in steps)
    labels = inspect(archive.reference)["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"].startswith("debian-trixie-packages:")


def test_a_name_without_a_tag_cannot_be_pinned(other_app: Path) -> None:
    done = subprocess.run([other_app / "base" / "pin", "python"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "next: name the tag" in done.stderr
    assert not (other_app / "base" / "base.lock").exists()


def test_a_base_that_has_python_in_usr_local_will_do(image: str, other_app: Path, tmp_path: Path) -> None:
    """As published ones have it; theirs cannot be had everywhere, so this is ours with Python moved."""
    name = "homeport-test/python:3.13"
    move = "cp -a /usr/lib/python3.13 /usr/local/lib/ && rm -r /usr/lib/python3.13 /usr/bin/python3"
    move += " && mv /usr/bin/python3.13 /usr/local/bin/ && ln -s python3.13 /usr/local/bin/python3"
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN {move}\n")
    (other_app / "base" / "build").write_text(f"#!/bin/sh\ndocker build -q -t {name} {tmp_path}\n")
    dockerfile = other_app / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace(f"FROM {BASE} ", f"FROM {name} "))
    (tmp_path / ".dockerignore").write_text("*\n")
    try:
        archive = build_container(other_app, tmp_path / "cache")
    finally:
        docker("image", "rm", name)
    program = "import sys; print(sys.prefix)"
    assert docker("run", "--rm", "--entrypoint=python3", archive.reference, "-c", program) == "/usr/local"
