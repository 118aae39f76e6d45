"""Ways to run a command on a machine that lacks something."""

import subprocess

import pytest

from homeport.system.programs import find_program


def without(*programs: str) -> list[str]:
    """Return the words before a command that let it run where these programs cannot be executed.

    In a mount namespace of its own, because some are found in spite of PATH. Skips where that is not allowed.
    """
    found = [path for name in programs if (path := find_program(name))]
    script = 'for p in $HIDDEN; do mount --bind /dev/null "$p" || exit 99; done; unset HIDDEN; exec "$@"'
    words = ["env", f"HIDDEN={' '.join(found)}", "unshare", "--mount", "sh", "-c", script, "sh"]
    probe = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"programs cannot be hidden here: {probe.stderr.strip()}")
    return words


def alone_on_the_network() -> list[str]:
    """Return the words before a command that give it a network of its own, with a loopback device that is down."""
    words = ["unshare", "--net"]
    probe = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"there can be no network of one's own here: {probe.stderr.strip()}")
    return words
