"""Programs that make images: run to their end, and ended with all that they started when we are interrupted."""

import contextlib
import os
import signal
import subprocess

from homeport.errors import HomeportError

LAST_LINES = 20


def run(command: list[str], failed: str, next_step: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raise ``HomeportError`` with its last lines when it fails."""
    unwanted = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    # A builder in a container of its own would not see the base image that lies in the engine.
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "BUILDX_BUILDER": "default", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
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
        close_fds=False,  # passes on the lock of images.drafts; no other file of Python's is inheritable
    )
    try:
        stdout, stderr = process.communicate()
    except BaseException:
        # With its children: mmdebstrap under app/base/build cleans up when it is told to end.
        _end(process)
        raise
    if process.returncode != 0:
        log = "\n".join((stdout + stderr).strip().splitlines()[-LAST_LINES:])
        if "no space left on device" in log.lower():
            raise HomeportError(
                f"{failed}: no space left on the disk",
                next_step="free some space: df -h and docker system df show where it went",
                log=log,
            )
        raise HomeportError(f"{failed} (exit code {process.returncode})", next_step=next_step, log=log)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            return
