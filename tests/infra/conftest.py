"""The one suite for every kind of host: a Molecule container, a booted instance, a VM.

    pytest tests/infra --hosts=docker://NAME
    pytest tests/infra --hosts=ssh://admin@ADDRESS --ssh-config=FILE --sudo
    pytest tests/infra --hosts=ansible://all --ansible-inventory=FILE --sudo

A role's defaults are what its tests expect. ``ansible://`` takes the inventory's variables over them, and
``--variables`` those of a JSON or YAML file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"

Variables = Callable[[str], Mapping[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--variables", type=Path, help="file of the variables that the host was set up with")


@pytest.fixture
def variables(host: Host, request: pytest.FixtureRequest) -> Variables:
    """Return a function from a role's name to its variables, as this host was set up with them."""
    given = dict[str, Any]()
    if host.backend.get_connection_type() == "ansible":
        given |= host.ansible.get_variables()
    named = request.config.getoption("--variables")
    if named:
        given |= yaml.safe_load(named.read_text())

    def of_role(role: str) -> Mapping[str, Any]:
        defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text()) or {}
        return defaults | {name: value for name, value in given.items() if name.startswith(f"{role}_")}

    return of_role
