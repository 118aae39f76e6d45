"""What the figures were measured on."""

import json
import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.commands import ROOT

_UNKNOWN = "unknown"


def describe() -> str:
    """Return cores, memory, versions, commit and date in one line."""
    kib = int(_find(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()) or 0)
    model = _find(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    versions = {
        "Python": platform.python_version(),
        "HAProxy": _find(r"version (\d[\d.]*\d)", _output("haproxy", "-v")),
        "Terraform": _terraform(),
        "moto": version("moto"),
        "Waitress": version("waitress"),
    }
    if shutil.which("wrk"):
        versions["wrk"] = _find(r"wrk (?:debian/)?(\d[\d.]*\d)", _output("wrk", "-v"))
    return (
        f"{len(os.sched_getaffinity(0))} cores{f' ({model})' if model else ''}, {kib / 2**20:.0f} GiB; "
        + ", ".join(f"{name} {found or _UNKNOWN}" for name, found in versions.items())
        + f"; commit {_output('git', 'describe', '--always', '--dirty').strip() or _UNKNOWN}"
        + f"; {datetime.now(UTC):%Y-%m-%d}"
    )


def load_average() -> float:
    """Return how many processes wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def path() -> str:
    """Return PATH with the folders where Debian puts what ordinary users seldom call."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _terraform() -> str:
    try:
        return str(json.loads(_output("terraform", "version", "-json"))["terraform_version"])
    except (ValueError, KeyError):
        return ""


def _output(*command: str) -> str:
    """Return what a command prints, whatever its exit code: wrk tells its version and exits with 1."""
    program = shutil.which(command[0], path=path())
    if program is None:
        return ""
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""
