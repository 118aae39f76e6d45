"""Terraform on the platform's root, as a user would run it; its own output is logged whole and shown in short."""

import os
import re
import shlex
import shutil
import signal
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from homeport import providers
from homeport.errors import HomeportError
from homeport.system import programs
from homeport.system.files import explained

NEEDED = "1.11"
"""As terraform/platform/versions.tf says; asked before anything is made."""
INSTALL = "https://developer.hashicorp.com/terraform/install"
_NOT_RUN = f"look at both, or install Terraform again: {INSTALL}"
WORTH_SHOWING = re.compile(r"(: (Modifying|Destroying|Still|Creation|Modifications|Destruction)\b|^Apply|^Destroy)")
END_SECONDS = 60.0
"""How long an interrupted Terraform may take."""
_REFUSED = {
    "-chdir": (
        "homeport terraform works on the platform's root alone",
        'for a root of your own: eval "$(homeport region env)", then terraform',
    ),
    # Terraform would ignore it, and mean the default fleet.
    "-state": (
        "the platform's state is in a bucket of the region",
        "to name the region's state folder: homeport terraform --state FOLDER",
    ),
}
"""Options of Terraform that would lead away from the platform, why they cannot be given, and what to do instead."""


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
    variables: Mapping[str, str]
    """Variables of the root that the environment's file leaves open, and their values."""
    by_hand: str
    """The command that runs Terraform in the same way for a person."""

    def environment_variables(self) -> dict[str, str]:
        """Return the whole environment in which a bare ``terraform plan`` or ``apply`` means this root and environment.

        It is for that process alone: in a shell it would act on every other root too. What stands on the command line
        comes after what is given here and wins.
        """
        # Not as TF_VAR_: a terraform.tfvars that somebody keeps in the root for an account would win over those.
        given = [
            f"-var-file={self._file('tfvars')}",
            *(f"-var={name}={value}" for name, value in self.variables.items()),
        ]
        commands = dict.fromkeys(("plan", "apply", "destroy", "refresh", "import", "console"), given)
        commands["init"] = [f"-backend-config={self._file('s3.tfbackend')}"]
        return (
            clean_environment()
            | dict(self.settings)
            | {f"TF_CLI_ARGS_{command}": shlex.join(words) for command, words in commands.items()}
            | {"TF_DATA_DIR": str(self.data / "data")}
            | providers.for_the_platform(self.data)
        )

    def _file(self, suffix: str) -> Path:
        return self.environments / f"{self.environment}.{suffix}"

    def init(self, show: Callable[[str], None]) -> None:
        """Initialize the root with the environment's backend; nothing is changed when it was already."""
        self.run(["init", "-input=false", "-lockfile=readonly", "-reconfigure"], show)

    def apply(self, show: Callable[[str], None], extra: Sequence[str] = ()) -> None:
        """Apply without asking."""
        self.run(["apply", "-auto-approve", "-input=false", *extra], show)

    def run(self, arguments: Sequence[str], show: Callable[[str], None]) -> None:
        """Run one command; ``show`` gets the lines worth showing.

        Raises:
            HomeportError: with the command's last lines, and the command itself to run by hand.
        """
        log = self.data / f"{arguments[0]}.log"
        with explained(log):
            self.data.mkdir(parents=True, exist_ok=True)

        def on_line(line: str) -> None:
            if WORTH_SHOWING.search(line):
                show(line.rstrip())

        def end(process: programs.Process) -> None:
            show("interrupted: Terraform ends what it is doing (Ctrl-C again kills it)")
            # So that it lets go of its state's lock. Its providers are in its group: told too, they would not help it.
            programs.interrupt(process, END_SECONDS, group=False)

        programs.follow(
            [find_terraform(), *arguments, "-no-color"],
            f"terraform {arguments[0]} failed in {self.root}",
            log=log,
            folder=self.root,
            environment=self.environment_variables(),
            on_line=on_line,
            end=end,
            next_step=f"{self.by_hand} {arguments[0]}",
            not_run=_NOT_RUN,
        )

    def become(self, arguments: Sequence[str]) -> NoReturn:
        """Go on as Terraform with these arguments, in this process: its terminal, its signals, its exit code.

        Raises:
            HomeportError: when the arguments name another root or state, or Terraform cannot be run.
        """
        _check_arguments(arguments)
        program = find_terraform()
        environment = self.environment_variables() | {
            name: value for name, value in os.environ.items() if name.startswith("TF_LOG")
        }
        if arguments[:1] == ["apply"] and zipfile.is_zipfile(self.root / arguments[-1]):
            # A saved plan holds its variables; Terraform refuses others beside it.
            del environment["TF_CLI_ARGS_apply"]
        # Python ignores both, and what it ignores would stay ignored.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execve(program, [program, f"-chdir={self.root}", *arguments], environment)  # noqa: S606  a list, no shell
        except OSError as error:
            raise programs.not_started(program, self.root, error, _NOT_RUN) from error


def _check_arguments(arguments: Sequence[str]) -> None:
    for word in arguments:
        if refused := _REFUSED.get(word.partition("=")[0]):
            message, next_step = refused
            raise HomeportError(f"{word}: {message}", next_step=next_step)


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
    said = programs.output([program, "version"], clean_environment())
    version = re.search(r"^Terraform v(\d+)\.(\d+)", said, re.MULTILINE)
    upgrade = f"install Terraform {NEEDED} or newer: {INSTALL}"
    if version is None:
        raise HomeportError(f"{program} version does not name a version", log=said[:2000], next_step=upgrade)
    if (int(version[1]), int(version[2])) < tuple(int(part) for part in NEEDED.split(".")):
        raise HomeportError(f"{program} is {version[0]}, too old for the platform", next_step=upgrade)
