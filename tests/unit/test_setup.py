"""The set-up on machines that lack something: it says what, and leaves nothing half-made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hiding import without

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """What the set-up needs of the repository, without an environment."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    for name in ("scripts/bootstrap", "Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def fakes(tmp_path):
    """A folder in front of PATH whose apt-get fails and says so; nothing is ever installed."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    program(folder / "apt-get", 'echo "$@" >>"$(dirname "$0")/asked"; echo "E: Unable to fetch" >&2; exit 100')
    program(folder / "terraform", 'echo "Terraform v1.11.4"')
    program(folder / "haproxy", "exit 0")
    return folder


def program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def set_up(checkout, fakes, *command, before=(), **environment):
    return subprocess.run(
        [*before, *(command or (checkout / "scripts" / "bootstrap",))],
        cwd=checkout,
        env=os.environ | {"PATH": f"{fakes}:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done, checkout, message):
    assert done.returncode != 0, done.stdout
    assert f"error: {message}" in done.stderr, done.stderr
    assert "next: install" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("command", [(), ("make", "up"), ("make", "test")], ids=" ".join)
def test_terraform_is_missing(checkout, fakes, command):
    (fakes / "terraform").unlink()
    done = set_up(checkout, fakes, *command, before=without("terraform"))
    refused(done, checkout, "terraform is not on PATH")
    assert "developer.hashicorp.com/terraform/install" in done.stderr
    assert not (fakes / "asked").exists()


@pytest.mark.parametrize("command", [(), ("make", "up")], ids=" ".join)
def test_haproxy_is_missing_and_cannot_be_installed(checkout, fakes, command):
    (fakes / "haproxy").unlink()
    done = set_up(checkout, fakes, *command, before=without("haproxy"))
    refused(done, checkout, "apt-get could not install: haproxy")
    assert "E: Unable to fetch" in done.stderr
    assert "== install from the distribution: haproxy" in done.stdout
    assert "update" in (fakes / "asked").read_text()


def test_neither_haproxy_nor_apt(checkout, fakes):
    (fakes / "haproxy").unlink()
    (fakes / "apt-get").unlink()
    done = set_up(checkout, fakes, before=without("haproxy", "apt-get"))
    refused(done, checkout, "missing: haproxy, and this is neither Debian nor Ubuntu")


def test_a_python_without_venv_whose_package_cannot_be_installed(checkout, fakes):
    # As Debian ships it: the interpreter is there, ensurepip is another package.
    program(fakes / "bare", f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"')
    done = set_up(checkout, fakes, PYTHON=str(fakes / "bare"))
    refused(done, checkout, "apt-get could not install: python3-venv")


def test_pip_fails(checkout, fakes):
    done = set_up(
        checkout, fakes, PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE="/dev/null"
    )
    assert done.returncode != 0
    assert "error: pip could not install uv" in done.stderr
    assert "then make again" in done.stderr
    again = set_up(
        checkout, fakes, PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE="/dev/null"
    )
    assert "error: pip could not install uv" in again.stderr
