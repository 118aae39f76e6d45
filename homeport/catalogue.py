"""The catalogue of services, ``app/services.yaml``: read, checked, and nothing more.

Terraform, monitoring and compose read the same file; this module is where its rules stand.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from homeport.errors import HomeportError

NAME = re.compile(r"[a-z][a-z0-9-]{1,19}")
"""Target group names take 32 characters, the environment and a suffix among them."""

Port = Annotated[int, msgspec.Meta(ge=8001, le=8999)]
"""Terraform makes the priority of a listener rule from it."""
Capacity_ = Annotated[int, msgspec.Meta(ge=0, le=100)]


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many instances; scaling moves between the two."""

    min: Capacity_
    max: Annotated[int, msgspec.Meta(ge=1, le=100)]


class Scaling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Target tracking: requests per target and minute."""

    requests_per_target: Annotated[int, msgspec.Meta(ge=1)]


class Objectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service promises; alerts are made from it."""

    availability_percent: Annotated[float, msgspec.Meta(gt=0, lt=100)]
    latency_p99_ms: Annotated[float, msgspec.Meta(gt=0)]


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the catalogue."""

    description: Annotated[str, msgspec.Meta(min_length=1)]
    port: Port
    exposure: Literal["public", "internal"]
    capacity: Capacity
    scaling: Scaling
    objectives: Objectives
    paths: list[Annotated[str, msgspec.Meta(pattern="^/")]] = []
    tables: list[str] = []
    queues: list[str] = []


def load_catalogue(path: Path) -> dict[str, Service]:
    """Return the services by name.

    Raises:
        HomeportError: naming the file, the line and the rule that it breaks.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        raise HomeportError(f"{path} is missing", next_step=f"git checkout -- {path}") from error
    except OSError as error:
        raise HomeportError(f"{path} cannot be read: {error.strerror}", next_step=f"ls -l {path}") from error
    except UnicodeDecodeError as error:
        raise _fault(path, 1, f"not UTF-8 ({error.reason})") from error
    except RecursionError as error:
        raise _fault(path, 1, "nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _fault(path, line, f"not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise _fault(path, 1, f"not YAML: {' '.join(str(error).split())}") from error
    try:
        entries = _members(path, _member(path, root, "services"))
        services = {name: _service(path, name, node) for name, node in entries.items()}
    except RecursionError as error:
        # An alias may stand inside of what it names.
        raise _fault(path, 1, "something in it holds itself") from error
    if not services:
        raise _fault(path, 1, "services: at least one service is needed")
    _check_ports(path, entries, services)
    return services


def _service(path: Path, name: str, node: yaml.Node) -> Service:
    line = node.start_mark.line + 1
    if not NAME.fullmatch(name):
        raise _fault(path, line, f"services.{name}: a name is 2 to 20 lower case letters, digits and hyphens")
    _members(path, node)
    try:
        service = msgspec.convert(_value(path, node), Service)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        steps = re.findall(r"\.([^.\[]+)|\[(\d+)\]", where.rstrip("`"))
        place = ".".join(key or index for key, index in steps)
        raise _fault(path, _line_of(node, steps), f"services.{name}{'.' if place else ''}{place}: {message}") from error
    if service.capacity.min > service.capacity.max:
        line = _line_of(node, [("capacity", "")])
        raise _fault(path, line, f"services.{name}.capacity: min must not be above max")
    if service.exposure == "public" and not service.paths:
        raise _fault(path, line, f"services.{name}: a public service needs paths")
    return service


def _check_ports(path: Path, entries: dict[str, yaml.Node], services: dict[str, Service]) -> None:
    taken: dict[int, str] = {}
    for name, service in services.items():
        other = taken.setdefault(service.port, name)
        if other != name:
            line = _line_of(entries[name], [("port", "")])
            raise _fault(path, line, f"services.{name}.port: {service.port} is the port of {other} already")


def _member(path: Path, node: yaml.Node | None, key: str) -> yaml.Node:
    members = _members(path, node)
    if set(members) != {key}:
        raise _fault(path, 1, f"the file holds one key, {key}, and no other")
    return members[key]


def _members(path: Path, node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return a mapping's values by key; YAML itself would let a second key of the same name win."""
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1 if node else 1
        raise _fault(path, line, "a mapping (key: value) is needed here")
    members: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _fault(path, key.start_mark.line + 1, "a key is one word")
        if key.value in members:
            raise _fault(path, key.start_mark.line + 1, f"{key.value} stands here twice")
        members[str(key.value)] = value
        if isinstance(value, yaml.MappingNode):
            _members(path, value)
    return members


def _value(path: Path, node: yaml.Node) -> Any:
    try:
        return yaml.SafeLoader("").construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else node.start_mark.line
        raise _fault(path, line + 1, f"not YAML: {error.problem}") from error
    except RecursionError:
        raise
    except Exception as error:
        # PyYAML leaves what a value's own type says of it as it comes: a date in month 13 is a ValueError.
        raise _unreadable(path, node) from error


def _unreadable(path: Path, node: yaml.Node) -> HomeportError:
    """Return the fault of the first value below that its type refuses."""
    nodes = [node]
    for found in nodes:
        if isinstance(found, yaml.ScalarNode):
            try:
                yaml.SafeLoader("").construct_document(found)
            except Exception:  # noqa: BLE001  as above
                kind = found.tag.rpartition(":")[2]
                return _fault(path, found.start_mark.line + 1, f"{str(found.value)[:40]} is no {kind}")
        elif isinstance(found, yaml.MappingNode):
            nodes += [part for pair in found.value for part in pair if part not in nodes]
        else:
            nodes += [part for part in found.value if part not in nodes]
    return _fault(path, node.start_mark.line + 1, "not YAML")


def _line_of(node: yaml.Node, steps: list[tuple[str, str]]) -> int:
    line = node.start_mark.line + 1
    for key, index in steps:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == key), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and index:
            node = node.value[int(index)]
            line = node.start_mark.line + 1
    return line


def _fault(path: Path, line: int, rule: str) -> HomeportError:
    return HomeportError(f"{path}, line {line}: {rule}", next_step=f"correct line {line} of {path} and run it again")
