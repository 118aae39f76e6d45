"""Ways to start a command that is to be interrupted."""

import sys

_START = (
    "import os, signal, sys\n"
    "for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):\n"
    "    signal.signal(number, signal.SIG_DFL)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


def interruptible() -> list[str]:
    """Return the words before a command with which it can be interrupted, as one that was typed at a terminal.

    A script's background jobs ignore SIGINT and SIGQUIT, and what nohup runs SIGHUP; so does all that they start.
    """
    return [sys.executable, "-c", _START]
