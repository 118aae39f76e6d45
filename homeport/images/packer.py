"""Packer, as a user would run it: its output is logged whole and shown in short, and its manifest is read."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from homeport.errors import HomeportError
from homeport.system import programs
from homeport.terraform import clean_environment

INSTALL = "apt-get install packer, or https://developer.hashicorp.com/packer/install"
_OLD = (1, 6)
"""Debian's: its plugins are built in, and it reads the files in packer/1.6."""
_WORTH_SHOWING = re.compile(r"^==> [a-z-]+\.machine: ((?!Executing Ansible).+)|^ +[a-z-]+\.machine: TASK \[(.+?)\]")
_END_SECONDS = 120.0
"""How long an interrupted Packer may take to remove its machine."""


class Build(msgspec.Struct, frozen=True):
    """One entry of Packer's manifest."""

    builder_type: str
    artifact_id: str
    packer_run_uuid: str


class _Manifest(msgspec.Struct, frozen=True):
    builds: list[Build]
    last_run_uuid: str


def image_id(manifest: Path) -> str:
    """Return the id of the image that the manifest's last run made on EC2.

    Raises ``HomeportError`` for a manifest that is not there, cannot be read, or names no such image.
    """
    again = "bake again: homeport image build"
    try:
        read = msgspec.json.decode(manifest.read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise HomeportError(f"Packer's manifest {manifest} cannot be read: {error}", next_step=again) from error
    found = [b for b in read.builds if b.builder_type == "amazon-ebs" and b.packer_run_uuid == read.last_run_uuid]
    if len(found) != 1:
        raise HomeportError(
            f"Packer's manifest {manifest} names {len(found)} images on EC2 of its last run, not one", next_step=again
        )
    # REGION:IMAGE, and with commas the copies in other regions.
    named = re.fullmatch(r"[a-z0-9-]+:(ami-[0-9a-f]+)", found[0].artifact_id)
    if named is None:
        raise HomeportError(
            f"Packer's manifest {manifest} names {found[0].artifact_id!r}, not one image in one region", next_step=again
        )
    return named[1]


def template(repository: Path) -> Path:
    """Return the folder with the files that the installed Packer reads; raise ``HomeportError`` without one."""
    return repository / "packer" / "1.6" if _version()[:2] == _OLD else repository / "packer"


def build(
    repository: Path,
    source: str,
    variables: Mapping[str, str],
    settings: Mapping[str, str],
    log: Path,
    *,
    on_step: Callable[[str], None],
) -> None:
    """Run ``packer build`` of one source; ``log`` gets its whole output, ``on_step`` what is worth showing.

    ``settings`` are the environment variables that reach the region or an account. An interrupted Packer removes
    what it made before this returns.

    Raises:
        HomeportError: with Packer's last lines.
    """
    folder = template(repository)
    environment = clean_environment() | dict(settings) | _tools()
    if folder.name != "1.6":
        # Installs what is missing; the plugins that are there are enough otherwise.
        _run([_program(), "init", str(folder)], environment, log, lambda _: None)
    given = [f"-var={name}={value}" for name, value in variables.items()]
    command = [_program(), "build", "-color=false", f"-only={source}", *given, str(folder)]
    _run(command, environment, log, on_step)


def _run(command: Sequence[str], environment: dict[str, str], log: Path, on_step: Callable[[str], None]) -> None:
    def on_line(line: str) -> None:
        if found := _WORTH_SHOWING.match(line):
            on_step((found[1] or found[2]).rstrip())

    def end(process: programs.Process) -> None:
        on_step("interrupted: Packer removes what it made (Ctrl-C again kills it)")
        # To the whole group: Packer waits for the Ansible that it started, and does not tell it. What a Packer that is
        # killed leaves, the next bake removes.
        programs.interrupt(process, _END_SECONDS, group=True)

    programs.follow(
        command,
        f"packer {command[1]} failed",
        log=log,
        folder=log.parent,
        environment=environment,
        on_line=on_line,
        end=end,
        next_step="mend what the lines above say, then run it again; nothing half-made is left",
        not_run=f"install Packer again: {INSTALL}",
    )


def _program() -> str:
    found = shutil.which("packer")
    if found is None:
        raise HomeportError("packer is not on PATH", next_step=f"install Packer: {INSTALL}")
    return found


def _version() -> tuple[int, ...]:
    program = _program()
    said = programs.output([program, "version"], clean_environment())
    found = re.search(r"^Packer v([0-9]+)\.([0-9]+)", said, re.MULTILINE)
    if found is None:
        # Some distributions have another program of that name.
        raise HomeportError(f"{program} version does not name a version", log=said, next_step=INSTALL)
    return tuple(int(part) for part in found.groups())


def _tools() -> dict[str, str]:
    """Return the environment in which Packer finds the programs that came with this one."""
    beside = Path(sys.executable).parent
    for name in ("ansible-playbook", "pytest"):
        if shutil.which(name, path=str(beside)) is None:
            raise HomeportError(f"{name} is not in {beside}", next_step="scripts/bootstrap image")
    return {"PATH": os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)])} | one_python()


def one_python() -> dict[str, str]:
    """Return the settings with which Ansible keeps one Python on a machine for all tasks; none without Mitogen."""
    mitogen = importlib.util.find_spec("ansible_mitogen")
    if mitogen is None or mitogen.origin is None:
        return {}
    plugins = Path(mitogen.origin).parent / "plugins" / "strategy"
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}


if __name__ == "__main__":
    # packer/build asks: manifest.
    sys.stdout.write(image_id(Path(sys.argv[1])) + "\n")
