"""The virtual machine that the tests look at, made by `vagrant up` and nothing else."""

import os
from collections.abc import Iterator

import pytest

from homeport.system.programs import find_program
from tests.vagrant.machine import ROOT, Machine, inventory, run, virsh

# On an emulated machine apt takes minutes: most of what the roles install is in the box.
PACKAGES = "auditd,chrony,crun,nftables,podman,prometheus-node-exporter,unattended-upgrades"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: boots a virtual machine (minutes where the processor is emulated)")


@pytest.fixture(scope="module")
def libvirt() -> Iterator[None]:
    """libvirt, as it runs here, or started for these tests alone."""
    for program in ("vagrant", "virsh", "qemu-system-x86_64", "dnsmasq"):
        if not find_program(program):
            pytest.skip(f"{program} is not installed (vagrant/README.md names the packages)")
    if "vagrant-libvirt" not in run("vagrant", "plugin", "list").stdout:
        pytest.skip("the plugin vagrant-libvirt is not installed (vagrant/README.md names the packages)")
    started = run(ROOT / "vagrant" / "libvirt", "start")
    if started.returncode:
        pytest.skip(f"libvirt cannot be reached: {started.stderr.strip()}")
    yield
    if "already" not in started.stdout:
        stopped = run(ROOT / "vagrant" / "libvirt", "stop")
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture(scope="module")
def box() -> str:
    """The box that is asked for, or one of Debian's packages."""
    if os.environ.get("HOMEPORT_BOX"):
        return os.environ["HOMEPORT_BOX"]
    made = run(ROOT / "vagrant" / "box", "--with", PACKAGES, seconds=900)
    if made.stderr.startswith("error: not installed"):
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture(scope="module")
def machine(libvirt: None, box: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that is not made yet. In the end it is gone, and so is the box's own disk in libvirt's storage."""
    machine = Machine(tmp_path_factory.mktemp("vagrant"), box, inventory())
    try:
        yield machine
    finally:
        machine.vagrant("destroy", "--force")
        for kind, name in machine.left():
            if kind == "vol":
                virsh("vol-delete", name, "--pool", "default")
