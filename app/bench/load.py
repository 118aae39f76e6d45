"""Load on one address: ``wrk`` where it is installed, else keep-alive connections of our own, a thread each."""

import re
import shutil
import socket
import subprocess
import threading
import time
from typing import NamedTuple

_PATH = "/users/alice/balance"


class Result(NamedTuple):
    """What one run gave; latency in milliseconds."""

    requests_per_second: float
    p99_ms: float
    requests: int


def run(port: int, connections: int, seconds: float) -> Result:
    """Send requests to 127.0.0.1 as fast as they are answered."""
    return _wrk(port, connections, seconds) if shutil.which("wrk") else _threads(port, connections, seconds)


def generator() -> str:
    """Which of the two makes the load here."""
    return "wrk" if shutil.which("wrk") else "threads of this script"


def _wrk(port: int, connections: int, seconds: float) -> Result:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    output = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{_PATH}"], check=True, capture_output=True, text=True
    ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"requests failed:\n{output}")
    value, unit = _find(r"99%\s+([\d.]+)(us|ms|s)\b", output)
    p99_ms = float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
    return Result(
        float(_find(r"Requests/sec:\s+([\d.]+)", output)[0]), p99_ms, int(_find(r"(\d+) requests in", output)[0])
    )


def _find(pattern: str, output: str) -> tuple[str, ...]:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"wrk's output lacks {pattern!r}:\n{output}")
    return found.groups()


def _threads(port: int, connections: int, seconds: float) -> Result:
    durations: list[list[float]] = [[] for _ in range(connections)]
    until = time.perf_counter() + seconds
    workers = [threading.Thread(target=_connection, args=(port, until, own)) for own in durations]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    merged = sorted(duration for own in durations for duration in own)
    return Result(len(merged) / seconds, merged[int(len(merged) * 0.99)] * 1e3, len(merged))


def _connection(port: int, until: float, durations: list[float]) -> None:
    request = f"GET {_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while (began := time.perf_counter()) < until:
            connection.sendall(request)
            answer = connection.recv(65536)
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                more = connection.recv(65536)
                if not more:
                    raise RuntimeError("the server closed the connection")
                answer += more
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"not answered with 200: {answer[:200]!r}")
            durations.append(time.perf_counter() - began)
