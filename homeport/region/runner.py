"""Runs what takes time, such as calls of the API, beside the loop that decides about it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from homeport.region.backoff import Backoff

logger = logging.getLogger(__name__)


class Runner:
    """A pool of threads with at most one step under way for each key.

    A step that failed is not repeated here: whoever still needs it asks again, and is put off by the key's
    waits of 1, 2, 5, 10, then 30 real seconds. A failure is told once, and so is its end.
    """

    def __init__(self, name: str, *, workers: int = 16) -> None:
        """``name`` is the threads' and begins what the log says."""
        self._name = name
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._backoff = Backoff()
        self._closing = False
        self.done: Callable[[], None] = lambda: None
        """Called after each step that did not fail."""

    def busy(self) -> frozenset[str]:
        """Return the keys of the steps under way."""
        with self._lock:
            return frozenset(self._busy)

    def run(
        self, key: str, step: Callable[[], None], *, tell: Callable[[str], None] = lambda _: None, label: str = ""
    ) -> bool:
        """Run a step in the pool and return True, unless its key is busy or failed a moment ago.

        ``tell`` is given why the step failed, unless it was told before, and nothing (``""``) once a step of
        the same key has succeeded again. The log calls the step by its ``label``, else by its key.
        """
        with self._lock:
            if self._closing or key in self._busy or not self._backoff.ready(key):
                return False
            self._busy.add(key)
        self._pool.submit(self._work, key, step, tell, label or key)
        return True

    def forget(self, key: str) -> None:
        """Forget the failures of a key that nobody will ask for again."""
        with self._lock:
            self._backoff.ok(key)

    def close(self) -> None:
        """Take no step any more and wait for those under way; those that have not begun are dropped."""
        with self._lock:
            self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, key: str, step: Callable[[], None], tell: Callable[[str], None], label: str) -> None:
        error: Exception | None = None
        try:
            step()
        except Exception as raised:  # noqa: BLE001  told below, and tried again
            error = raised
        message = f"{type(error).__name__}: {error}" if error else ""
        with self._lock:
            news = self._backoff.failed(key, message) if error else self._backoff.ok(key)
        try:
            if news:
                self._say(label, error)
                tell(message)
        finally:
            # Last: whoever sees the key free sees also what the step has done.
            with self._lock:
                self._busy.discard(key)
        if error is None:
            self.done()

    def _say(self, label: str, error: Exception | None) -> None:
        if error is None:
            logger.info("%s: %s: done now, after it had failed", self._name, label)
        else:
            logger.error("%s: %s: tried again: %s: %s", self._name, label, type(error).__name__, error, exc_info=error)
