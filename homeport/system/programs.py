"""Programs of this machine: where they are, and how they run to their end with an error for a person."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from homeport.errors import HomeportError
from homeport.system import processes
from homeport.system.files import explained

SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian puts programs that an ordinary user's PATH does not lead to."""
LAST_LINES = 25
_ANSWER_SECONDS = 60.0
_GRACE_SECONDS = 10.0

Process = subprocess.Popen[str]


def find_program(name: str) -> str | None:
    """Return a program's path, that of a system program too; None when it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}")


def output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return everything that a command prints within a minute, whatever its exit code, or why it did not run."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr


def run(
    command: Sequence[str],
    failed: str,
    next_step: str = "",
    *,
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
    may_fail: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command in ``/`` to its end and return what it printed.

    An exception ends it with all that it started, SIGTERM first. What holds a lock of :mod:`homeport.system.drafts`
    passes it on to the command.

    Raises:
        HomeportError: ``failed`` says what was not done, the command's last lines why; also after ``seconds``. With
            ``may_fail`` an exit code is no error.
    """
    try:
        # Not where the user is: that folder may be gone, or hold another project's settings for the command.
        process = subprocess.Popen(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            close_fds=False,  # for the lock; Python makes no other file inheritable
        )
    except OSError as error:
        raise HomeportError(f"{failed}: cannot run {command[0]}: {error.strerror}", next_step=next_step) from error
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        terminate(process)
        raise HomeportError(
            f"{failed}: it has not ended after {seconds:g} s", next_step="see what holds it up: ps -ef"
        ) from error
    except BaseException:
        terminate(process)
        raise
    if process.returncode != 0 and not may_fail:
        log = last_lines(stdout + stderr)
        if "no space left on device" in log.lower():
            raise HomeportError(
                f"{failed}: no space left on the disk",
                next_step="free some space: df -h and docker system df show where it went",
                log=log,
            )
        raise HomeportError(f"{failed} (exit code {process.returncode})", next_step=next_step, log=log)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def follow(
    command: Sequence[str],
    failed: str,
    *,
    log: Path,
    folder: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    end: Callable[[Process], None],
    next_step: str,
    not_run: str,
) -> None:
    """Run a command in ``folder`` to its end; ``log`` gets all that it prints, ``on_line`` each line of it.

    An exception, Ctrl-C's among them, ends it by ``end``, and only by that: a terminal's own signal does not get to it.

    Raises:
        HomeportError: with the last lines and ``next_step``, or ``not_run`` when there is no such program or folder.
    """
    last: deque[str] = deque(maxlen=LAST_LINES)
    with explained(log):
        record = log.open("w", encoding="utf-8", buffering=1)
    with record:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                process_group=0,
            )
        except OSError as error:
            raise not_started(command[0], folder, error, not_run) from error
        with process:
            try:
                for line in process.stdout or ():
                    with explained(log):
                        record.write(line)
                    last.append(line.rstrip())
                    on_line(line)
            except BaseException:
                end(process)
                raise
    if process.returncode != 0:
        raise HomeportError(
            f"{failed} (whole output: {log})",
            log="\n".join(line for line in last if line.strip(" ╷│╵")),
            next_step=next_step,
        )


def not_started(program: str, folder: Path, error: OSError, next_step: str) -> HomeportError:
    """Return the error for a program that the system does not start."""
    return HomeportError(f"cannot run {program} in {folder}: {error.strerror}", next_step=next_step)


def terminate(process: Process) -> None:
    """End a process that leads a session, and all of the session: SIGTERM, after ten seconds SIGKILL."""
    processes.stop_group(process.pid, _GRACE_SECONDS)
    process.wait()


def interrupt(process: Process, seconds: float, *, group: bool) -> None:
    """Send SIGINT and let the process end in its own way; kill its group after ``seconds``.

    ``group``: the signal goes to the whole group, as a terminal's Ctrl-C does.
    """
    # With nobody to read it, its output would end it at once. Its pipe may outlive it, so nobody waits for the end.
    threading.Thread(target=_drain, args=[process], daemon=True).start()
    try:
        if group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def last_lines(text: str, lines: int = LAST_LINES) -> str:
    """Return the end of a text that may be long."""
    return "\n".join(text.strip().splitlines()[-lines:])


def _drain(process: Process) -> None:
    # Not through the file object: whoever closes it would wait for its lock.
    with contextlib.suppress(OSError):
        while process.stdout and os.read(process.stdout.fileno(), 65536):
            pass
