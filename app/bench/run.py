"""Compare one instance with bare Bottle and with a bare application, all on Waitress, alternating in one run.

``python app/bench/run.py [--rounds N] [--seconds S] [--connections C] [--json]``, in the app's environment. Loopback
only. CPU time a request is the steadier figure on a machine that does other things too.
"""

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layers
import load

_PEERS = Path(__file__).with_name("peers.py")
_KINDS = ("waitress", "bottle", "homeport")
_START_SECONDS = 15.0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    report = compare(options.rounds, options.seconds, options.connections)
    print(json.dumps(report, indent=2) if options.json else _table(report))  # noqa: T201 - a command's output


def compare(rounds: int, seconds: float, connections: int) -> dict[str, Any]:
    """Medians of every kind, and ratios as medians of the rounds' own ratios."""
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in _KINDS}
    for number in range(rounds):
        # each round begins with another kind, so that none always has the cooler machine
        for kind in _KINDS[number % len(_KINDS) :] + _KINDS[: number % len(_KINDS)]:
            runs[kind].append(_measure(kind, seconds, connections))

    def median(kind: str, figure: str) -> float:
        return statistics.median(run[figure] for run in runs[kind])

    def ratio(figure: str, ours: str, other: str) -> float:
        return statistics.median(a[figure] / b[figure] for a, b in zip(runs[ours], runs[other], strict=True))

    figures = ("requests_per_second", "p99_ms", "cpu_us_per_request", "memory_mib")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "load": f"{load.generator()}, {connections} connections, {rounds} rounds of {seconds:g} s",
        "figures": {kind: {figure: round(median(kind, figure), 3) for figure in figures} for kind in _KINDS},
        "ratios": {
            "homeport / bottle": round(ratio("requests_per_second", "homeport", "bottle"), 3),
            "homeport / waitress": round(ratio("requests_per_second", "homeport", "waitress"), 3),
            "bottle / waitress": round(ratio("requests_per_second", "bottle", "waitress"), 3),
            "homeport / bottle, by CPU time": round(ratio("cpu_us_per_request", "bottle", "homeport"), 3),
        },
        "layers_us": {name: round(value, 2) for name, value in layers.measure().items()},
    }


def _measure(kind: str, seconds: float, connections: int) -> dict[str, float]:
    with _server(kind) as (process, port):
        load.run(port, connections, 1)  # warm
        cpu = _cpu_seconds(process.pid)
        result = load.run(port, connections, seconds)
        cpu = _cpu_seconds(process.pid) - cpu
        return {
            "requests_per_second": result.requests_per_second,
            "p99_ms": result.p99_ms,
            "cpu_us_per_request": cpu / result.requests * 1e6,
            "memory_mib": _resident_mib(process.pid),
        }


@contextlib.contextmanager
def _server(kind: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = ["-m", "homeport_app"] if kind == "homeport" else [str(_PEERS), kind, str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOMEPORT_")}
    environment |= {
        "HOMEPORT_SERVICE": "balance",
        "HOMEPORT_PORT": str(port),
        "HOMEPORT_LISTEN_ADDRESS": "127.0.0.1",
        "HOMEPORT_DRAIN_NOTICE_SECONDS": "0",
    }
    # a pipe that is read, as a journal or a container engine would
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE)
    reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)  # noqa: S607 - any will do
    try:
        _wait_until_open(port, process)
        yield process, port
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()
        reader.wait()


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not open port {port}")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _table(report: dict[str, Any]) -> str:
    lines = [report["machine"], report["load"], ""]
    lines.append(f"{'':12}{'requests/s':>12}{'p99 ms':>10}{'CPU us/request':>16}{'memory MiB':>12}")
    for kind, figures in report["figures"].items():
        lines.append(
            f"{kind:12}{figures['requests_per_second']:>12.0f}{figures['p99_ms']:>10.2f}"
            f"{figures['cpu_us_per_request']:>16.1f}{figures['memory_mib']:>12.1f}"
        )
    lines += ["", *(f"{name:34}{value:.3f}" for name, value in report["ratios"].items())]
    lines += ["", "without the network, microseconds a request:"]
    lines += [f"  {name:32}{value:.2f}" for name, value in report["layers_us"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
