"""The catalogue and the modules agree."""

import pkgutil
from pathlib import Path

import yaml

from homeport_app import services
from homeport_app.__main__ import service_module
from homeport_app.contract.service import Service

_CATALOGUE = yaml.safe_load((Path(__file__).parents[1] / "services.yaml").read_text())["services"]


def test_every_entry_is_a_module_and_every_module_an_entry() -> None:
    modules = {module.name.replace("_", "-") for module in pkgutil.iter_modules(services.__path__)}
    assert modules == set(_CATALOGUE)


def test_a_service_bears_its_own_name() -> None:
    for name in _CATALOGUE:
        module = service_module(name)
        service = module.create(module.Settings())
        assert isinstance(service, Service)
        assert service.name == name


def test_ports_are_unique() -> None:
    ports = [entry["port"] for entry in _CATALOGUE.values()]
    assert len(ports) == len(set(ports))
