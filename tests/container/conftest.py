"""The image is built once for the run, as ``homeport image container`` builds it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.images.container import CURRENT, Archive, build_container
from tests.container.containers import APP, Running, container, docker


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed: no container image can be built")
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        pytest.skip(f"the Docker engine does not answer: {asked.stderr.strip()}")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def archive(engine: None, cache: Path) -> Archive:
    return build_container(APP, cache)


@pytest.fixture(scope="session")
def image(archive: Archive) -> str:
    return archive.reference


@pytest.fixture
def balance(image: str) -> Iterator[Running]:
    with container(image, "balance", 8101) as running:
        yield running.wait_until_ready()


@pytest.fixture
def other_app(tmp_path: Path) -> Iterator[Path]:
    """A copy of ``app/`` that a test may change; what is built from it is removed."""
    copy = tmp_path / "app"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns(".venv", "__pycache__", ".*_cache"))
    (copy / "src" / "homeport_app" / "only_in_this_test.py").write_text(f'"""{tmp_path.name}."""\n')
    yield copy
    built = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "homeport/app").split()
    for reference in {*built, *docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", CURRENT).split()}:
        if is_from_test(reference):
            docker("image", "rm", "--force", reference)


def is_from_test(reference: str) -> bool:
    """Whether the image holds the module that only a test's copy has; others may build images meanwhile."""
    program = "import homeport_app.only_in_this_test"
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", "--entrypoint=python3", reference, "-c", program],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0
