"""When a step that failed is tried again, and whether its failure is news."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WAITS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Real seconds before the next try, by how often a step has failed in a row; the last one holds from then on."""


@dataclass
class _Failures:
    times: int = 0
    not_before: float = 0.0
    message: str = ""


class Backoff:
    """Keeps, for each key, a row of failures. Calls may come from several threads.

    Loops here derive their steps from what is there, so a step that can never succeed is needed again on each pass.
    """

    def __init__(self, waits: Sequence[float] = WAITS, now: Callable[[], float] = time.monotonic) -> None:
        """``now`` returns seconds that never go back."""
        self._waits = waits
        self._now = now
        self._lock = threading.Lock()
        self._rows: dict[str, _Failures] = {}

    def failed(self, key: str, message: str) -> bool:
        """Note a failure, and return whether it is news: the first of its row, or another one than the last."""
        with self._lock:
            row = self._rows.setdefault(key, _Failures())
            row.not_before = self._now() + self._waits[min(row.times, len(self._waits) - 1)]
            row.times += 1
            news = row.times == 1 or message != row.message
            row.message = message
            return news

    def ok(self, key: str) -> bool:
        """Forget a key's failures, and return whether there were any."""
        with self._lock:
            return self._rows.pop(key, None) is not None

    def times(self, key: str) -> int:
        """Return how often a key has failed in a row."""
        with self._lock:
            return self._rows[key].times if key in self._rows else 0

    def remaining(self, key: str) -> float:
        """Return the real seconds until a key may be tried again, 0 when it may be now."""
        with self._lock:
            return max(0.0, self._rows[key].not_before - self._now()) if key in self._rows else 0.0

    def ready(self, key: str) -> bool:
        """Return whether a key may be tried now."""
        return self.remaining(key) == 0.0
