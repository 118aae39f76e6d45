"""Which room may import which: arrows point down only (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["cli", "local", "images", "region", "system"]
"""From the top: a room imports what stands to its right, never what stands to its left."""
FROM_MOTO = ROOT / "homeport" / "region" / "from_moto"
WITHOUT_MOTO = ["homeport/region/haproxy", "homeport/region/machines", "homeport/system", "homeport/images"]
"""Not even by way of ``from_moto``."""
REGION = ROOT / "homeport" / "region"


def imported(file: Path) -> Iterator[str]:
    """Yield the modules that a file names, those inside functions included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def begins_with(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_one_above(room):
    above = ROOMS[: ROOMS.index(room)]
    upward = [
        f"{file.relative_to(ROOT)}: {module}"
        for file in files(f"homeport/{room}")
        for module in imported(file)
        for higher in above
        if begins_with(module, f"homeport.{higher}")
    ]
    assert not upward


@pytest.mark.parametrize("folder", ["app/src", "homeport/fleet"])
def test_what_runs_in_an_account_does_not_know_the_region(folder):
    known = [str(f) for f in files(folder) if any(begins_with(m, "homeport.region") for m in imported(f))]
    assert not known


@pytest.mark.parametrize("folder", WITHOUT_MOTO)
def test_moto_stays_out(folder):
    assert files(folder)
    taken = ("moto", "homeport.region.from_moto")
    assert not [str(f) for f in files(folder) if any(begins_with(m, one) for m in imported(f) for one in taken)]


def test_one_room_imports_moto():
    known = [f for f in files("homeport") if any(begins_with(m, "moto") for m in imported(f))]
    assert known
    assert not [str(f) for f in known if FROM_MOTO not in f.parents]


def test_the_region_has_no_circle():
    """A circle raises ``CycleError`` that names its rooms."""
    rooms = {path.stem for path in REGION.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    arrows: dict[str, set[str]] = {room: set() for room in rooms}
    for file in files("homeport/region"):
        room = file.relative_to(REGION).parts[0].removesuffix(".py")
        for module in imported(file):
            if begins_with(module, "homeport.region"):
                arrows[room].add(module.split(".")[2] if module.count(".") >= 2 else "__init__")
        arrows[room].discard(room)
    assert list(TopologicalSorter(arrows).static_order())
