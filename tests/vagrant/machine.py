"""A machine of Vagrant's, and what libvirt holds."""

import os
import re
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBVIRT = ("virsh", "-q", "-c", "qemu:///system")

Thing = tuple[str, str]
"""A thing of libvirt's: its kind as virsh abbreviates it, and its name."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Machine:
    """A machine that has a home and a state folder of its own; nothing of the user's is read or changed."""

    folder: Path
    box: str
    before: set[Thing]
    """What libvirt held before."""
    name: str = f"homeport-test-{os.getpid()}"
    service_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)

    def vagrant(self, *words: str, seconds: float = 120) -> str:
        """Return what the command wrote; one that fails shows its last lines."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VAGRANT_")}
        environment = kept | {
            "VAGRANT_CWD": str(ROOT),
            "VAGRANT_HOME": str(self.folder / "home"),
            "VAGRANT_DOTFILE_PATH": str(self.folder / "state"),
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "HOMEPORT_BOX": self.box,
            "HOMEPORT_VM_NAME": self.name,
            "HOMEPORT_VM_SERVICE_PORT": str(self.service_port),
            "HOMEPORT_VM_METRICS_PORT": str(self.metrics_port),
        }
        answer = run("vagrant", *words, "--no-color", "--no-tty", seconds=seconds, environment=environment)
        lines = "\n".join((answer.stdout + answer.stderr).splitlines()[-80:])
        assert answer.returncode == 0, f"vagrant {' '.join(words)} failed:\n{lines}"
        return answer.stdout

    def recap(self, output: str) -> dict[str, int]:
        """Return the figures of the one line that Ansible ends with."""
        (line,) = re.findall(rf"^{self.name} +: (ok=.*)$", output, re.MULTILINE)
        return {name: int(figure) for name, figure in re.findall(r"(\w+)=(\d+)", line)}

    def left(self) -> set[Thing]:
        """Return what libvirt holds and did not before."""
        return inventory() - self.before


def run(
    *command: str | Path, seconds: float = 60, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository, and return what it wrote and how it ended."""
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def virsh(*words: str) -> str:
    answer = run(*LIBVIRT, *words)
    assert answer.returncode == 0, f"virsh {' '.join(words)} failed: {answer.stderr}"
    return answer.stdout


def inventory() -> set[Thing]:
    """Return what libvirt holds."""
    found = {("domain", name) for name in virsh("list", "--all", "--name").split()}
    found |= {("net", name) for name in virsh("net-list", "--all", "--name").split()}
    found |= {("pool", name) for name in virsh("pool-list", "--all", "--name").split()}
    if ("pool", "default") in found:
        found |= {("vol", line.split()[0]) for line in virsh("vol-list", "default").splitlines() if line.strip()}
    return found
