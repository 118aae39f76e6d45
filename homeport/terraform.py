"""Terraform on the platform's root, as a user would run it; its own output is logged whole and shown in short."""

import json
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport.errors import HomeportError
from homeport.region.state import write_atomically

INSTALL = "https://developer.hashicorp.com/terraform/install"
WORTH_SHOWING = re.compile(
    r"(: (Modifying|Destroying|Still|Creation|Modifications|Destruction)\b|^Apply|^Destroy)"
)
MIRROR_PLACES = ("/opt", "/usr/local", "/usr/local/share", "/usr/local/lib", "/usr/share", "/var/lib", "/srv", "~")
"""Where a provider mirror is looked for, at most two folders deep; Terraform itself knows fewer places."""


@dataclass(frozen=True)
class Terraform:
    """Terraform with one root, one environment's files and one place for its data."""

    root: Path
    environments: Path
    environment: str
    data: Path
    """What Terraform and this class write: its data directory, its logs, its configuration."""
    settings: Mapping[str, str]
    """Environment variables that reach the region or an account."""

    def variables(self) -> dict[str, str]:
        """Return the environment that makes a bare ``terraform plan`` or ``apply`` in the root do the same.

        A variables file on a command line comes after those named here and wins.
        """
        file = f"-var-file={self.environments / self.environment}.tfvars"
        commands = ("plan", "apply", "destroy", "refresh", "import", "console")
        return (
            {f"TF_CLI_ARGS_{command}": file for command in commands}
            | {"TF_DATA_DIR": str(self.data / "data")}
            | self.installation()
        )

    def installation(self) -> dict[str, str]:
        """Return where providers come from: the user's own configuration, a mirror on this disk, or the registry."""
        given = os.environ.get("TF_CLI_CONFIG_FILE")
        if given and Path(given).is_file():
            return {"TF_CLI_CONFIG_FILE": given}
        configuration = self.data / "terraform.rc"
        mirror = find_mirror()
        if mirror is None:
            cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "homeport" / "providers"
            cache.mkdir(parents=True, exist_ok=True)
            text = f'plugin_cache_dir = "{cache}"\n'
        else:
            text = (
                "provider_installation {\n"
                f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = ["hashicorp/aws"]\n  }}\n'
                '  direct {\n    exclude = ["hashicorp/aws"]\n  }\n}\n'
            )
        self.data.mkdir(parents=True, exist_ok=True)
        if not configuration.is_file() or configuration.read_text() != text:
            write_atomically(configuration, text)
        return {"TF_CLI_CONFIG_FILE": str(configuration)}

    def init(self, show: Callable[[str], None]) -> None:
        """Initialize the root with the environment's backend; nothing is changed when it was already."""
        backend = f"-backend-config={self.environments / self.environment}.s3.tfbackend"
        self.run(["init", "-input=false", "-lockfile=readonly", "-reconfigure", backend], show)

    def apply(self, show: Callable[[str], None], extra: Sequence[str] = ()) -> None:
        """Apply without asking."""
        self.run(["apply", "-auto-approve", "-input=false", *extra], show)

    def destroy(self, show: Callable[[str], None]) -> None:
        """Destroy everything without asking."""
        self.run(["destroy", "-auto-approve", "-input=false"], show)

    def outputs(self) -> dict[str, Any]:
        """Return the root's outputs by name."""
        lines: list[str] = []
        self.run(["output", "-json"], lines.append, everything=True)
        return {name: output["value"] for name, output in json.loads("".join(lines)).items()}

    def run(self, arguments: Sequence[str], show: Callable[[str], None], *, everything: bool = False) -> None:
        """Run one command; ``show`` gets the lines worth showing.

        Raises:
            HomeportError: with the command's last lines, and the command itself to run by hand.
        """
        command = [find_terraform(), *arguments, *([] if "-json" in arguments else ["-no-color"])]
        self.data.mkdir(parents=True, exist_ok=True)
        log = self.data / f"{arguments[0]}.log"
        last: deque[str] = deque(maxlen=25)
        with (
            log.open("w", encoding="utf-8") as record,
            subprocess.Popen(
                command,
                cwd=self.root,
                env=clean_environment() | dict(self.settings) | self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            for line in process.stdout or ():
                record.write(line)
                last.append(line.rstrip())
                if everything or WORTH_SHOWING.search(line):
                    show(line.rstrip())
        if process.returncode != 0:
            raise HomeportError(
                f"terraform {arguments[0]} failed in {self.root} (whole output: {log})",
                log="\n".join(line for line in last if line.strip(" ╷│╵")),
                next_step='eval "$(homeport region env)", then terraform '
                f"-chdir={os.path.relpath(self.root)} {arguments[0]}",
            )


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would send Terraform or an SDK to a real account."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))}
    bundle = os.environ.get("AWS_CA_BUNDLE")
    return kept | ({"AWS_CA_BUNDLE": bundle} if bundle else {})


def find_terraform() -> str:
    """Return Terraform's path, or raise ``HomeportError`` that says how to get it."""
    found = shutil.which("terraform")
    if found is None:
        raise HomeportError("terraform is not on PATH", next_step=f"install Terraform 1.11 or newer: {INSTALL}")
    return found


def find_mirror() -> Path | None:
    """Return the folder of a provider mirror on this machine's disk, or None."""
    for place in MIRROR_PLACES:
        for pattern in ("registry.terraform.io", "*/registry.terraform.io"):
            for found in sorted(Path(place).expanduser().glob(pattern)):
                if (found / "hashicorp" / "aws").is_dir():
                    return found.parent
    return None
