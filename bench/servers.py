"""The three servers that are compared, each a process on a port of 127.0.0.1, in the app's own environment."""

import contextlib
import socket
import time
from collections.abc import Iterator

from bench.commands import BIN, ROOT, CommandError, background, run, say
from bench.session import Session, free_port, without

APP = ROOT / "app"
PYTHON = APP / ".venv" / "bin" / "python"
KINDS = ("waitress", "bottle", "homeport")
_START_SECONDS = 15.0


def ensure_environment() -> None:
    """Make the app's environment from its lock, as its README says; one that is there is left alone."""
    if PYTHON.exists():
        return
    say(f"make {PYTHON.parents[1].relative_to(ROOT)} from app/requirements-dev.lock")
    uv, python = str(BIN / "uv"), ["--python", str(PYTHON)]
    run([uv, "venv", "--quiet", "--python", str(BIN / "python"), str(PYTHON.parents[1])], folder=APP)
    run([uv, "pip", "sync", "--quiet", *python, "--require-hashes", "requirements-dev.lock"], folder=APP)
    run([uv, "pip", "install", "--quiet", *python, "--no-deps", "--editable", "."], folder=APP)


@contextlib.contextmanager
def server(session: Session, kind: str) -> Iterator[int]:
    """Run a server of a kind until the block ends; yields its port."""
    port = free_port()
    command = ["-m", "homeport_app"] if kind == "homeport" else [str(APP / "bench/peers.py"), kind, str(port)]
    environment = without("HOMEPORT_") | {
        "HOMEPORT_SERVICE": "balance",
        "HOMEPORT_PORT": str(port),
        "HOMEPORT_LISTEN_ADDRESS": "127.0.0.1",
        "HOMEPORT_DRAIN_NOTICE_SECONDS": "0",
    }
    log = session.root / f"{kind}.log"
    with background([str(PYTHON), *command], log, environment=environment) as process:
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        else:
            raise CommandError(f"{kind} did not open port {port}: {log.read_text(errors='replace')[-500:]}")
        yield port
