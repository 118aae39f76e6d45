"""Commands that leave nothing running: each leads a session of its own, which is ended when we are interrupted."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
HOMEPORT = str(BIN / "homeport")
_LAST_LINES = 15
_GRACE = 5.0
"""Seconds to end in after SIGINT; Terraform hands it on to its provider."""


class CommandError(Exception):
    """A command failed; the message holds it and its last lines."""


def say(text: str) -> None:
    """Tell progress, apart from the figures on standard output."""
    print(text, file=sys.stderr, flush=True)


def run(
    command: Sequence[str], *, folder: Path = ROOT, environment: Mapping[str, str] | None = None, timeout: float = 300
) -> str:
    """Run a command and return its standard output; raises ``CommandError``. ``timeout`` in seconds."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(command)} was not done after {timeout:g} s") from error
    finally:
        end(process)
    if process.returncode != 0:
        last = "\n".join((out + err).strip().splitlines()[-_LAST_LINES:])
        raise CommandError(f"{' '.join(command)} exited with {process.returncode}\n{last}")
    return out


@contextlib.contextmanager
def background(
    command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command beside us until the block ends, its output in ``log``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """End a command with all it started, if it still runs."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
