"""The region's process seen from outside: start it, tell whether it runs, stop all that is its own."""

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region.journal import Sweep, sweep
from homeport.region.state import Run, StateFolder
from homeport.system import hosts, processes

START_SECONDS = 60.0
"""How long a region may take to answer; it takes two or three."""
_GIVE_UP_SECONDS = 5.0


@dataclass(frozen=True)
class Options:
    """How a region is started."""

    api_port: int
    speed: float
    repository: Path
    driver: str = "process"


def alive(state: StateFolder) -> Run | None:
    """Return the facts of the region that runs on this folder, None when its process does not run."""
    run = state.read_run()
    return run if run and processes.alive(run.pid, run.start_time, run.boot_id) else None


def start(state: StateFolder, options: Options) -> Run:
    """Start the region in a session of its own and return once it answers.

    Raises:
        HomeportError: what the region itself said, or the end of its log.
    """
    if options.driver == "container":
        # Imported late: the other driver does without Docker's client.
        from homeport.region.machines.container import engine  # noqa: PLC0415

        engine.check_host()
    state.create()
    read_end, write_end = os.pipe()
    arguments = [str(state.root), str(write_end), str(options.api_port), str(options.speed), str(options.repository)]
    with state.region_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "homeport.region", *arguments, options.driver],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write_end],
            start_new_session=True,
            cwd="/",
            env=_environment(state),
        )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as report:
            ready, _, _ = select.select([report], [], [], START_SECONDS)
            said = report.readline() if ready else ""
    except BaseException:
        # Whoever waited has gone: a region that nobody knows of must not come up later.
        processes.stop_group(process.pid, _GIVE_UP_SECONDS)
        raise
    if not said:
        processes.stop_group(process.pid, _GIVE_UP_SECONDS)
    if said:
        answer = json.loads(said)
        if "error" in answer:
            raise HomeportError(answer["error"], next_step=answer["next_step"], log=answer["log"])
    run = state.read_run()
    if not said or run is None or run.pid != process.pid:
        raise HomeportError(
            "the region did not start; the end of its log:",
            log=last_lines(state.region_log),
            next_step="homeport region down, then homeport region up",
        )
    return run


def _environment(state: StateFolder) -> dict[str, str]:
    """Return this process's environment without the user's AWS settings, and with the mark that sweeps look for.

    SDKs inside the region would read a profile, and fail when it is not there.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {processes.STATE_MARK: str(state.root.resolve())}


def stop(state: StateFolder) -> Sweep:
    """Stop the region and all its machines, and take its names out of the hosts file.

    Raises ``HomeportError`` when something of it cannot be reached now; what can be is gone then.
    """
    # Imported late: most commands need no client of Docker's.
    from homeport.region.machines.container import sweep as remains  # noqa: PLC0415

    run = state.read_run()
    swept = sweep(state)
    if run is not None:
        hosts.remove_block(run.region_id)
    return replace(swept, swept=(*swept.swept, *remains.sweep(state)))


def last_lines(log: Path, lines: int = 20) -> str:
    """Return the end of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
