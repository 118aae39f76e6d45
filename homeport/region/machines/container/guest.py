"""What Docker is told of a machine: a container that boots as an instance of EC2 does."""

import hashlib
from pathlib import Path
from typing import Any

import docker
from docker.types import LogConfig, Mount

from homeport.region.machines.container.network import REGION_LABEL, STATE_LABEL
from homeport.region.machines.driver import MachineSpec

INSTANCE_LABEL = "homeport.instance"
ADDRESS_LABEL = "homeport.address"
LABELS = (REGION_LABEL, STATE_LABEL, INSTANCE_LABEL, ADDRESS_LABEL)
PROCESSES = 4096
STOP_SIGNAL = "SIGRTMIN+3"
"""On which systemd shuts down."""
_START = Path(__file__).with_name("start.sh")
_READ_ONLY = [
    *(f"/proc/{name}" for name in ("asound", "bus", "fs", "irq", "sysrq-trigger")),
    *(f"/proc/sys/{name}" for name in ("abi", "debug", "dev", "fs", "kernel", "user", "vm")),
]
"""What is this host's kernel's, and would otherwise be set by a machine's sysctl files."""
_SYSTEMD = "/lib/systemd/systemd"
_CAPABILITIES = ["NET_ADMIN", "SYS_ADMIN", "SYS_BOOT", "SYS_PTRACE"]
"""For systemd, its packet filter and an inner container engine. SYS_BOOT ends the container alone (reboot(2))."""


def container_name(instance_id: str) -> str:
    """Return the name of an instance's container."""
    return f"homeport-{instance_id}"


def image_repository(region_id: str) -> str:
    """Return the repository whose tags are a region's image ids."""
    return f"homeport/region-{region_id}"


def hostname(address: str) -> str:
    """Return the name that EC2 gives an instance by its address."""
    return f"ip-{address.replace('.', '-')}"


def create(client: docker.APIClient, spec: MachineSpec, image: str, network: str, labels: dict[str, str]) -> None:
    """Make the container of a machine, not started yet; raises what Docker answers."""
    settings = {"AWS_REGION": spec.region_name, **spec.environment}
    host: Any = client.create_host_config(
        cap_add=_CAPABILITIES,
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="private",
        tmpfs={"/run": "exec,mode=755", "/run/lock": "", "/tmp": "exec,mode=1777"},  # noqa: S108  the machine's own
        # An inner engine's overlay cannot lie on Docker's.
        mounts=[Mount("/var/lib/containers", None, type="volume")],
        pids_limit=PROCESSES,
        log_config=LogConfig(type="json-file", config={"max-size": "4m", "max-file": "2"}),
        network_mode=network,
    )
    # Not all of /proc/sys, as Docker has it: the machine's network is its own.
    host["ReadonlyPaths"] = _READ_ONLY
    # The type information has these two for one.
    endpoints: Any = client.create_networking_config(
        {network: client.create_endpoint_config(ipv4_address=spec.address)}  # type: ignore[arg-type]
    )
    client.create_container(
        image,
        entrypoint=["/bin/sh"],
        command=["-c", _START.read_text(), "start", _uuid(spec.instance_id), spec.instance_id, *_words(settings)],
        name=container_name(spec.instance_id),
        hostname=hostname(spec.address),
        # The console: systemd and journald write to a terminal only.
        tty=True,
        host_config=host,
        networking_config=endpoints,
        labels={**labels, INSTANCE_LABEL: spec.instance_id, ADDRESS_LABEL: spec.address},
        stop_signal=STOP_SIGNAL,
        use_config_proxy=False,
    )


def image_changes() -> list[str]:
    """Return what an image made of a machine must not have from its container; Docker can empty a label only."""
    return [f'ENTRYPOINT ["{_SYSTEMD}"]', "CMD []", *(f'LABEL {name}=""' for name in LABELS)]


def _words(settings: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(settings.items())]


def _uuid(instance_id: str) -> str:
    """Return the firmware's id of a machine, which begins with ec2 on EC2."""
    digits = hashlib.sha256(instance_id.encode()).hexdigest()
    return f"ec2{digits[:5]}-{digits[5:9]}-{digits[9:13]}-{digits[13:17]}-{digits[17:29]}"
