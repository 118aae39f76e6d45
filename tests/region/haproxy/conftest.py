import secrets
import shutil
from collections import Counter

import pytest
from balancing import GROUP, Place, Records

from homeport.region.clock import Clock
from homeport.region.haproxy.balancers import Balancers
from homeport.system import processes


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
    mark = ("HOMEPORT_TEST_ID", secrets.token_hex(8))
    balancers = Balancers(
        tmp_path / "balancers",
        Clock(50),
        environment=dict([mark]),
        records=records,
        on_change=lambda: changes.update(["change"]),
    )
    balancers.changes, balancers.mark = changes, mark
    yield balancers
    balancers.close()
    assert processes.find_marked(mark) == []


@pytest.fixture
def states(balancers):
    """Return the states of the group's targets by id."""
    return lambda: {key[0]: health.state for key, health in balancers.health(GROUP).items()}
