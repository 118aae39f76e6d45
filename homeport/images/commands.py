"""Programs that make images run without what this user's shell has set up for other Pythons and builders."""

import os
import subprocess

from homeport.system import programs

_UNWANTED = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"}
# A builder in a container of its own would not see the base image that lies in the engine.
_WANTED = {"UV_PYTHON_DOWNLOADS": "never", "BUILDX_BUILDER": "default", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def run(command: list[str], failed: str, next_step: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raise ``HomeportError`` with its last lines when it fails."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return programs.run(command, failed, next_step, environment=kept | _WANTED)
