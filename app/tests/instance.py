"""A real instance in a process of its own, and ways to talk to it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

DEADLINE = 20.0
_START = Path(__file__).with_name("start_with_samples.py")


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of ``condition``; fails after some seconds."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE:g} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Instance:
    """``python -m homeport_app`` on a free port, with the tests' services."""

    def __init__(self, folder: Path, service: str, **settings: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_file = folder / f"{self.port}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOMEPORT_")}
        environment |= {
            "HOMEPORT_SERVICE": service,
            "HOMEPORT_PORT": str(self.port),
            "HOMEPORT_LISTEN_ADDRESS": "127.0.0.1",
            "HOMEPORT_DRAIN_NOTICE_SECONDS": "0.2",
            "TMPDIR": str(folder),
        }
        if service == "sample":
            environment["HOMEPORT_SAMPLE_FOLDER"] = str(folder)
        environment |= {f"HOMEPORT_{name.upper()}": str(value) for name, value in settings.items()}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, str(_START)], env=environment, stdout=log, stderr=log)
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> "Instance":
        eventually(self._answers, f"{self.url} answers; the log says: {self.log_file.read_text()}")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def connect(self) -> "Connection":
        return Connection(self.port)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == name]

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def stop(self) -> int:
        self.process.terminate()
        return self.wait()


class Connection:
    """One connection, byte for byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self._rest = b""

    def send(self, target: str, *headers: str, method: str = "GET") -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def receive(self) -> httpx.Response:
        """One answer.

        Raises:
            ConnectionError: the connection ended before the answer did.
        """
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        status_line, *fields = head.decode("latin-1").split("\r\n")
        headers = httpx.Headers([tuple(field.split(": ", 1)) for field in fields])
        length = int(headers.get("Content-Length", 0))
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return httpx.Response(int(status_line.split()[1]), headers=headers, content=body)

    def is_ended(self) -> bool:
        """Wait for the other side's end of the connection."""
        return not self._rest and self.socket.recv(1) == b""

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed before the answer was complete")
        self._rest += data
