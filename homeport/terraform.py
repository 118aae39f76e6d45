"""Terraform on the platform's root, as a user would run it; its own output is logged whole and shown in short."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region.state import explained, write_atomically

NEEDED = "1.11"
"""As terraform/platform/versions.tf says; asked before anything is made."""
INSTALL = "https://developer.hashicorp.com/terraform/install"
WORTH_SHOWING = re.compile(r"(: (Modifying|Destroying|Still|Creation|Modifications|Destruction)\b|^Apply|^Destroy)")
END_SECONDS = 60.0
"""How long an interrupted Terraform may take."""
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
        # Terraform splits these as a shell would.
        file = shlex.quote(f"-var-file={self.environments / self.environment}.tfvars")
        commands = ("plan", "apply", "destroy", "refresh", "import", "console")
        return (
            {f"TF_CLI_ARGS_{command}": file for command in commands}
            | {"TF_DATA_DIR": str(self.data / "data")}
            | self.installation()
        )

    def installation(self) -> dict[str, str]:
        """Return where providers come from: the user's own configuration, a mirror on this disk, or the registry."""
        given = os.environ.get("TF_CLI_CONFIG_FILE")
        # Not pathlib's: it raises for a file in a folder that is closed to this user.
        if given and os.path.isfile(given):  # noqa: PTH113
            return {"TF_CLI_CONFIG_FILE": given}
        if os.path.isfile(os.path.expanduser("~/.terraformrc")):  # noqa: PTH111, PTH113
            return {}
        configuration = self.data / "terraform.rc"
        mirror = find_mirror()
        if mirror is None:
            # os.path's expanduser leaves a user without a home as it is; pathlib's raises.
            base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
            cache = (Path(base) if Path(base).is_absolute() else self.data) / "homeport" / "providers"
            with explained(cache):
                cache.mkdir(parents=True, exist_ok=True)
            text = f'plugin_cache_dir = "{cache}"\n'
        else:
            text = (
                "provider_installation {\n"
                f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = ["hashicorp/aws"]\n  }}\n'
                '  direct {\n    exclude = ["hashicorp/aws"]\n  }\n}\n'
            )
        with explained(configuration):
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

    def run(self, arguments: Sequence[str], show: Callable[[str], None]) -> None:
        """Run one command; ``show`` gets the lines worth showing.

        Raises:
            HomeportError: with the command's last lines, and the command itself to run by hand.
        """
        command = [find_terraform(), *arguments, "-no-color"]
        log = self.data / f"{arguments[0]}.log"
        last: deque[str] = deque(maxlen=25)
        with explained(log):
            self.data.mkdir(parents=True, exist_ok=True)
            record = log.open("w", encoding="utf-8", buffering=1)
        with record, self._started(command) as process:
            try:
                for line in process.stdout or ():
                    with explained(log):
                        record.write(line)
                    last.append(line.rstrip())
                    if WORTH_SHOWING.search(line):
                        show(line.rstrip())
            except BaseException:
                show("interrupted: Terraform ends what it is doing (Ctrl-C again kills it)")
                end(process)
                raise
        if process.returncode != 0:
            raise HomeportError(
                f"terraform {arguments[0]} failed in {self.root} (whole output: {log})",
                log="\n".join(line for line in last if line.strip(" ╷│╵")),
                next_step=f'eval "$(homeport region env)", then terraform -chdir={self.root} {arguments[0]}',
            )

    def _started(self, command: Sequence[str]) -> subprocess.Popen[str]:
        environment = clean_environment() | dict(self.settings) | self.variables()
        try:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                # A terminal's Ctrl-C would reach it beside ours, and two make it give up with its state locked.
                process_group=0,
            )
        except OSError as error:
            raise HomeportError(
                f"cannot run {command[0]} in {self.root}: {error.strerror}",
                next_step=f"look at both, or install Terraform again: {INSTALL}",
            ) from error


def end(process: subprocess.Popen[str]) -> None:
    """Let Terraform end in its own way, so that it lets go of its state's lock; kill it when it takes too long."""
    late = threading.Timer(END_SECONDS, _kill, [process])
    late.start()
    try:
        process.send_signal(signal.SIGINT)
        for _ in process.stdout or ():
            # With nobody to read it, its output would end it at once.
            pass
        process.wait()
    except BaseException:
        _kill(process)
        raise
    finally:
        late.cancel()


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        # Its providers are in its group.
        os.killpg(process.pid, signal.SIGKILL)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would send Terraform or an SDK to a real account."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))}
    bundle = os.environ.get("AWS_CA_BUNDLE")
    # A user's profile may name endpoints and roles, and one that cannot be parsed would stop everything.
    unread = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    return kept | unread | ({"AWS_CA_BUNDLE": bundle} if bundle else {})


def find_terraform() -> str:
    """Return Terraform's path, or raise ``HomeportError`` that says how to get it."""
    found = shutil.which("terraform")
    if found is None:
        raise HomeportError("terraform is not on PATH", next_step=f"install Terraform {NEEDED} or newer: {INSTALL}")
    return found


def check_version(program: str) -> None:
    """Raise ``HomeportError`` for a Terraform that is too old, or does not say how old it is."""
    try:
        done = subprocess.run(
            [program, "version"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        said = done.stdout + done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    version = re.search(r"^Terraform v(\d+)\.(\d+)", said, re.MULTILINE)
    upgrade = f"install Terraform {NEEDED} or newer: {INSTALL}"
    if version is None:
        raise HomeportError(f"{program} version does not name a version", log=said[:2000], next_step=upgrade)
    if (int(version[1]), int(version[2])) < tuple(int(part) for part in NEEDED.split(".")):
        raise HomeportError(f"{program} is {version[0]}, too old for the platform", next_step=upgrade)


def find_mirror() -> Path | None:
    """Return the folder of a provider mirror on this machine's disk, or None."""
    for place in MIRROR_PLACES:
        for pattern in ("registry.terraform.io", "*/registry.terraform.io"):
            for found in sorted(Path(os.path.expanduser(place)).glob(pattern)):  # noqa: PTH111  as above
                if os.path.isdir(found / "hashicorp" / "aws"):  # noqa: PTH112  as above
                    return found.parent
    return None
