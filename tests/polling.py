"""The one way in which tests wait: look again until it holds, and fail at a deadline with what was seen last."""

import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.03
"""Seconds between two looks."""


def eventually(look: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Return the first true answer of ``look``."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what or look} (last seen: {answer!r})"
        time.sleep(PAUSE)
    return answer
