"""One running HAProxy: started in a session of its own, replaced without a refused connection, ended."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region.haproxy.config import CONFIG_FILE, SOCKET
from homeport.region.haproxy.runtime import Observer, Row, Runtime, RuntimeRefusedError

LOG_FILE = "haproxy.log"
_LOG_LIMIT = 1024 * 1024
_START_DEADLINE = 15.0
"""Real seconds in which a HAProxy must have bound its ports and answer on its socket."""


class Process:
    """A HAProxy that was started here; its stats socket belongs to it until another one replaces it."""

    def __init__(self, popen: subprocess.Popen[bytes], folder: Path) -> None:
        self.pid = popen.pid
        self.handle = os.pidfd_open(popen.pid)
        """A pidfd: readable once the process has ended."""
        self.runtime = Runtime(folder / SOCKET)
        self._popen = popen
        self._observer: Observer | None = None
        self._let_go = False

    def ended(self) -> bool:
        """Return whether it has ended; reaps it."""
        return self._popen.poll() is not None

    def exit_reason(self) -> str:
        """Return how it ended, for a message."""
        code = self._popen.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; return whether it has."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.handle, selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        return self.ended()

    def observe(self) -> None:
        """Keep a connection to it, to be used once it was replaced."""
        self._observer = self.runtime.observe()

    def remaining_rows(self) -> list[Row] | None:
        """Return the statistics of a replaced process, nothing once it was let go, None when they cannot be had."""
        if self._let_go:
            return []
        if self._observer is None:
            return None
        try:
            return self._observer.rows()
        except RuntimeRefusedError:
            self._observer.close()
            self._observer = None
            return None

    def let_go(self) -> None:
        """Close the connection that keeps a replaced process from ending: it has no client left."""
        self._let_go = True
        if self._observer is not None:
            self._observer.close()
            self._observer = None

    def stop(self) -> None:
        """End it at once, with the connections it has."""
        self.let_go()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(number)
            if self.wait(5.0):
                break
        self.release()

    def release(self) -> None:
        """Give back what watching it takes; the process itself goes on."""
        self.let_go()
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def check(folder: Path, name: str, config_file: str) -> None:
    """Let HAProxy read a configuration; raises ``HomeportError`` with its own lines when it refuses it."""
    result = subprocess.run(
        [_program(), "-c", "-f", config_file],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60,
    )
    if result.returncode != 0:
        raise HomeportError(
            f"HAProxy refused the configuration of load balancer {name}",
            log=_alerts(result.stderr + result.stdout),
            next_step=f"look at {folder / config_file}",
        )


def start(folder: Path, name: str, environment: Mapping[str, str], replaces: Process | None) -> Process:
    """Start a HAProxy in ``folder``; return once it answers on its socket.

    With ``replaces`` it takes over that process's listening sockets, and that one ends when its requests
    have. Raises ``HomeportError`` with the last lines of the log; what was to be replaced then runs on.
    """
    command = [_program(), "-db", "-f", CONFIG_FILE]
    if replaces is not None:
        command += ["-sf", str(replaces.pid), "-x", SOCKET]
    log_path = folder / LOG_FILE
    with log_path.open("ab") as log:
        began = log.tell()
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.defpath, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    process = Process(popen, folder)
    deadline = time.monotonic() + _START_DEADLINE
    while not _answers(process):
        if process.ended() or time.monotonic() > deadline:
            reason = f"ended with {process.exit_reason()}" if process.ended() else "does not answer on its socket"
            process.stop()
            with log_path.open("rb") as log:
                log.seek(began)
                lines = _alerts(log.read().decode(errors="replace"))
            raise HomeportError(f"HAProxy of load balancer {name} {reason}", log=lines, next_step=f"look at {log_path}")
        process.wait(0.02)
    with contextlib.suppress(RuntimeRefusedError):
        process.observe()
    return process


def bound_log(folder: Path) -> None:
    """Keep one older part of a log that has grown; HAProxy appends, so it may be emptied under it."""
    path = folder / LOG_FILE
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def _answers(process: Process) -> bool:
    # While two processes share the socket, either may answer.
    try:
        return process.runtime.pid() == process.pid
    except RuntimeRefusedError:
        return False


def _program() -> str:
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    if program := shutil.which("haproxy", path=path):
        return program
    raise HomeportError("haproxy is not installed", next_step="apt-get install haproxy (2.6 or newer)")


def _alerts(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    alerts = [line for line in lines if line.startswith("[ALERT]")]
    return "\n".join((alerts or lines)[-20:])
