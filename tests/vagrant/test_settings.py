"""What `vagrant up` says before it makes anything, and what vagrant/box and vagrant/libvirt say of a wrong word."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_vagrant = pytest.mark.skipif(not shutil.which("vagrant"), reason="vagrant is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout where nobody has set anything up."""
    for name in ("Vagrantfile", "vagrant/variables.yml", "app/services.yaml", "ansible/ansible.cfg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def vagrant(checkout: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEPORT_", "VAGRANT_"))}
    environment = kept | {"VAGRANT_HOME": str(checkout / "home")} | settings
    return subprocess.run(
        ["vagrant", *words], cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def stub(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@needs_vagrant
@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_it_is_valid_for_each_provider(checkout: Path, provider: str) -> None:
    # VirtualBox itself is not to be had everywhere; that it is there is all that Vagrant asks of it for this.
    stub(checkout, "VBoxManage", 'case $1 in --version) echo "7.0.20r163906" ;; esac')
    if provider == "libvirt" and "vagrant-libvirt" not in vagrant(checkout, "plugin", "list").stdout:
        pytest.skip("the plugin vagrant-libvirt is not installed")
    path = f"{checkout}:{os.environ['PATH']}"
    answer = vagrant(checkout, "validate", VAGRANT_DEFAULT_PROVIDER=provider, PATH=path)
    assert answer.returncode == 0, answer.stderr
    assert "validated successfully" in answer.stdout


@needs_vagrant
@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("HOMEPORT_VM_MEMORY", "1G", "HOMEPORT_VM_MEMORY is no whole number: 1G"),
        ("HOMEPORT_VM_METRICS_PORT", "http", "HOMEPORT_VM_METRICS_PORT is no whole number: http"),
        ("HOMEPORT_BOX", "gone.box", "HOMEPORT_BOX names a file that is not there"),
        ("HOMEPORT_VAGRANT_DRIVER", "xen", "HOMEPORT_VAGRANT_DRIVER is xen"),
    ],
)
def test_a_bad_setting_is_named_with_what_to_do(checkout: Path, setting: str, value: str, says: str) -> None:
    if setting == "HOMEPORT_VAGRANT_DRIVER" and "vagrant-libvirt" not in vagrant(checkout, "plugin", "list").stdout:
        pytest.skip("the plugin vagrant-libvirt is not installed")
    stub(checkout, "VBoxManage", 'case $1 in --version) echo "7.0.20r163906" ;; esac')
    provider = "libvirt" if setting == "HOMEPORT_VAGRANT_DRIVER" else "virtualbox"
    path = f"{checkout}:{os.environ['PATH']}"
    answer = vagrant(checkout, "validate", VAGRANT_DEFAULT_PROVIDER=provider, PATH=path, **{setting: value})
    assert answer.returncode != 0
    assert says in answer.stderr
    assert "next: " in answer.stderr


@needs_vagrant
@pytest.mark.parametrize(
    ("has", "settings", "says", "advice"),
    [
        ([], {}, "ansible-playbook", "make setup-image"),
        (
            ["ansible-playbook"],
            {"HOMEPORT_SERVICE_IMAGE": "gone.tar"},
            "HOMEPORT_SERVICE_IMAGE names a file",
            "unset it",
        ),
        (["ansible-playbook", "homeport"], {}, "no engine here", "HOMEPORT_SERVICE_IMAGE=/path"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    checkout: Path, has: list[str], settings: dict[str, str], says: str, advice: str
) -> None:
    tools = checkout / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in has:
        stub(tools, name, "echo no engine here >&2; exit 1")
    stub(checkout, "VBoxManage", 'case $1 in --version) echo "7.0.20r163906" ;; *) exit 1 ;; esac')
    path = f"{checkout}:{os.environ['PATH']}"
    answer = vagrant(checkout, "up", VAGRANT_DEFAULT_PROVIDER="virtualbox", PATH=path, **settings)
    assert answer.returncode != 0
    assert says in answer.stderr
    assert f"next: {advice}" in answer.stderr or advice in answer.stderr
    assert not list((checkout / ".vagrant" / "machines").glob("*/*/id"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["box", "--without"], "unknown: --without"),
        (["box", "--with"], "--with needs a value"),
        (["box", "--with", "podman; reboot"], "not a list of packages: podman; reboot"),
        (["libvirt"], "unknown: no word"),
    ],
)
def test_a_wrong_word_is_named_with_what_to_do(words: list[str], says: str) -> None:
    answer = subprocess.run([ROOT / "vagrant" / words[0], *words[1:]], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: {says}\nnext: ")
