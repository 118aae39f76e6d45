"""The real Packer on the real files; a bake runs in a copy of the repository's rooms, with a short playbook."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKER = ROOT / "packer"
DIGEST = "0123456789ab" + "0" * 52


@pytest.fixture(scope="session", autouse=True)
def old() -> bool:
    """Whether the installed Packer is Debian's 1.6, which has files of its own."""
    if shutil.which("packer") is None:
        pytest.skip("packer is not installed: its templates cannot be read")
    said = subprocess.run(["packer", "version"], capture_output=True, text=True, check=True).stdout
    return re.match(r"Packer v1\.6\.", said) is not None


@pytest.fixture(scope="session")
def template(old: bool) -> Path:
    """The folder that the installed Packer reads."""
    return PACKER / "1.6" if old else PACKER


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Values for what has no default."""
    archive = tmp_path / "app.tar"
    archive.write_bytes(b"")
    return {"service_image_archive": str(archive), "digest": DIGEST}


def packer(*arguments: Any, **options: Any) -> Any:
    """Run Packer with the programs beside this Python, and nothing of the user's account."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PKR_VAR_"))}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    environment["CHECKPOINT_DISABLE"] = "1"
    command = ["packer", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **options)


def given(variables: dict[str, str]) -> list[str]:
    return [f"-var={name}={value}" for name, value in variables.items()]
