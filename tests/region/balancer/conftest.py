import shutil
from collections import Counter

import pytest
from balancing import GROUP, Place, Records

from homeport.region.balancer.supervisor import Balancers
from homeport.region.clock import Clock


@pytest.fixture
def place():
    place = Place()
    yield place
    for app in place.apps:
        app.close()


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def balancers(tmp_path, records):
    if shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("haproxy is not installed: nothing can be balanced")
    changes = Counter()
    balancers = Balancers(
        tmp_path / "balancers",
        Clock(50),
        environment={"HOMEPORT_REGION_ID": "test"},
        records=records,
        on_change=lambda: changes.update(["change"]),
    )
    balancers.changes = changes
    yield balancers
    balancers.close()


@pytest.fixture
def states(balancers):
    """Return the states of the group's targets by id."""
    return lambda: {key[0]: health.state for key, health in balancers.health(GROUP).items()}
