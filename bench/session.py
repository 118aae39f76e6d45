"""One run of the bench: its temporary folder, its fleet, and the end of both."""

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.commands import HOMEPORT, run, say
from bench.fleet import Fleet
from homeport.region.state import StateFolder
from homeport.system.files import remove_tree


class Session:
    """What the parts share; ``runs`` tries of each thing, ``seconds`` of each load."""

    def __init__(self, *, runs: int, seconds: float) -> None:
        self.runs = runs
        self.seconds = seconds
        self._stack = contextlib.ExitStack()
        self._fleet: Fleet | None = None

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="homeport-bench-"))
        # The services' unprivileged user passes through here on its way to the images.
        self.root.chmod(0o755)
        self._stack.callback(remove_tree, self.root)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def folder(self, name: str) -> Path:
        """Return a folder that the session's end removes."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder

    def state(self, name: str) -> StateFolder:
        """Return a state folder whose region the session's end stops, if one runs then."""
        state = StateFolder(self.root / f"state-{name}")
        self._stack.callback(self.stop, state)
        return state

    def stop(self, state: StateFolder) -> None:
        """Stop the region on a state folder with all that belongs to it."""
        if state.root.exists():
            run([HOMEPORT, "down", "--state", str(state.root)])

    def adopt(self, fleet: Fleet) -> None:
        """Let later parts use a fleet that this one has no more need of."""
        self._fleet = fleet

    def fleet(self) -> Fleet:
        """Return the fleet that an earlier part left, or bring one up from this checkout."""
        if self._fleet is None:
            say("bring a fleet up (about 70 s, 60 of them the AWS provider's own sleep)")
            state = self.state("fleet")
            run([HOMEPORT, "up", "--state", str(state.root), "--port", str(free_port())])
            self._fleet = Fleet(state)
        self._fleet.wait_whole()
        return self._fleet


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without(*prefixes: str) -> dict[str, str]:
    """Return this process's environment without the variables that begin so."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
