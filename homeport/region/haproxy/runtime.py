"""Speaks to HAProxy's stats socket (management manual, 9.3): bounded in time and size, one command a call."""

import contextlib
import csv
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

TIMEOUT = 3.0
"""Seconds within which HAProxy must have answered; it answers in milliseconds."""
_LIMIT = 16 * 1024 * 1024
_PROMPT = b"\n> "

Row = dict[str, str]
"""One line of ``show stat``: column names to values."""


class RuntimeRefusedError(Exception):
    """HAProxy did not do what it was told, or could not be reached."""


class Commands:
    """What can be told to a HAProxy, over whichever connection."""

    def ask(self, command: str) -> str:
        """Return the answer to one command; raises ``RuntimeRefusedError`` when none came in time."""
        raise NotImplementedError

    def do(self, command: str, *, answers: str = "") -> None:
        """Run a command that answers nothing, or what begins with ``answers``."""
        answer = self.ask(command)
        if answer != answers and not (answers and answer.startswith(answers)):
            raise RuntimeRefusedError(f"{command!r}: {answer or 'no answer'}")

    def rows(self) -> list[Row]:
        """Return ``show stat``: frontends, backends and servers with state and counters."""
        return parse_rows(self.ask("show stat"))


class Runtime(Commands):
    """The stats socket of one HAProxy; every call opens a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, command: str) -> str:
        """As told there; on a connection of its own."""
        with _connected(self._path) as connection:
            try:
                connection.sendall(_one_line(command))
                return b"".join(_chunks(connection)).decode(errors="replace").strip()
            except OSError as error:
                raise RuntimeRefusedError(f"{command!r}: {error or 'no answer in time'}") from error

    def pid(self) -> int:
        """Return the process that answers on the socket."""
        for line in self.ask("show info").splitlines():
            if line.startswith("Pid:"):
                return int(line.partition(":")[2])
        raise RuntimeRefusedError("'show info' tells no pid")

    def observe(self) -> "Observer":
        """Open a connection that stays with this very process, also once another one has its socket."""
        return Observer(self._path)


class Observer(Commands):
    """A standing connection to one process, which goes on after that process was replaced.

    A process that is replaced ends when its last connection has, this one included: close it in time.
    """

    def __init__(self, path: Path) -> None:
        with contextlib.ExitStack() as stack:
            self._connection = stack.enter_context(_connected(path))
            self.ask("prompt")
            self._open = stack.pop_all()

    def close(self) -> None:
        """Let the process end."""
        self._open.close()

    def ask(self, command: str) -> str:
        """Return the answer to one command; raises ``RuntimeRefusedError`` when none came in time."""
        self._connection.settimeout(TIMEOUT)
        answer = bytearray()
        try:
            self._connection.sendall(_one_line(command))
            for chunk in _chunks(self._connection):
                answer += chunk
                if answer.endswith(_PROMPT):
                    return answer.removesuffix(_PROMPT).decode(errors="replace").strip()
        except OSError as error:
            raise RuntimeRefusedError(f"{command!r}: {error}") from error
        raise RuntimeRefusedError(f"{command!r}: the process has ended")


def parse_rows(text: str) -> list[Row]:
    """Read the CSV of ``show stat``."""
    return list(csv.DictReader(text.removeprefix("# ").splitlines()))


def _one_line(command: str) -> bytes:
    # A second command must not hide in an argument.
    if any(character in command for character in ";\n\r\\<"):
        raise ValueError(f"not one command of HAProxy: {command!r}")
    return command.encode() + b"\n"


def _chunks(connection: socket.socket) -> Iterator[bytes]:
    deadline = time.monotonic() + TIMEOUT
    size = 0
    while chunk := connection.recv(65536):
        yield chunk
        size += len(chunk)
        if size > _LIMIT:
            raise OSError(f"more than {_LIMIT} bytes of answer")
        connection.settimeout(max(0.001, deadline - time.monotonic()))


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.ExitStack() as stack:
        stack.callback(connection.close)
        connection.settimeout(TIMEOUT)
        try:
            # Through the folder's descriptor: a socket's path may have 108 bytes, a state folder more.
            folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError as error:
            raise RuntimeRefusedError(f"the stats socket {path} cannot be reached: {error}") from error
        yield connection
