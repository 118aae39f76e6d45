from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from instance import Instance

Start = Callable[..., Instance]


def _starting(folder: Path) -> Iterator[Start]:
    started: list[Instance] = []

    def start(service: str = "balance", *, wait: bool = True, **settings: object) -> Instance:
        instance = Instance(folder, service, **settings)
        started.append(instance)
        return instance.wait_until_ready() if wait else instance

    yield start
    for instance in started:
        if instance.process.poll() is None:
            instance.process.kill()
        instance.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts instances that end with the test."""
    yield from _starting(tmp_path)


@pytest.fixture(scope="session")
def balance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A balance service for tests that only ask it."""
    known = '{"alice": 7, "J\\u00fcrg/x": 8}'
    for start in _starting(tmp_path_factory.mktemp("balance")):
        yield start(balance_known_users=known)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """The tests' own service, for tests that only ask it."""
    for start in _starting(tmp_path_factory.mktemp("sample")):
        yield start("sample", max_body_bytes=1000, version_revision="abc123")
