"""One fleet for the whole run: the provider waits a minute for each load balancer."""

import shutil
from collections.abc import Iterator

import pytest

from tests.fleets import Fleet, free_port, state_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the fleet away comes after everything else that needs it."""
    items.sort(key=lambda item: item.name.startswith("test_zz_"))


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if not shutil.which("terraform"):
        pytest.skip("terraform is not on PATH: no fleet can be applied")
    with state_folder() as state:
        fleet = Fleet(state, free_port())
        fleet.up()
        yield fleet


@pytest.fixture
def whole_fleet(fleet: Fleet) -> Fleet:
    """The fleet as every test expects it: three healthy instances."""
    fleet.wait_healthy(3)
    return fleet
