"""When what failed may be tried again, and whether a failure has been told already."""

import time
from collections.abc import Callable
from dataclasses import dataclass

WAITS_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Real seconds before the next try, by how often it has failed in a row; then always the last."""


@dataclass
class _Failing:
    times: int = 0
    not_before: float = 0.0
    message: str = ""


class Backoff:
    """Remembers by key what fails; whoever shares it among threads guards it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing: dict[str, _Failing] = {}

    def failed(self, key: str, message: str) -> bool:
        """Note a failure and put off the next try; return whether ``message`` is news."""
        failing = self._failing.setdefault(key, _Failing())
        failing.not_before = self._clock() + WAITS_SECONDS[min(failing.times, len(WAITS_SECONDS) - 1)]
        failing.times += 1
        news, failing.message = message != failing.message, message
        return news

    def ready(self, key: str) -> bool:
        """Return whether ``key`` may be tried now."""
        failing = self._failing.get(key)
        return failing is None or self._clock() >= failing.not_before

    def ok(self, key: str) -> bool:
        """Forget the failures of ``key``; return whether there were any."""
        return self._failing.pop(key, None) is not None
