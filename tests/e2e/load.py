"""Steady load from this process: so many requests a second, each answer counted."""

import http.client
import threading
import time
from collections import Counter
from typing import Self
from urllib.parse import urlsplit


class Load:
    """Open-loop load over keep-alive connections: a slow answer does not slow the others down.

    ``results`` counts statuses, and ``error: ...`` for a request that got no answer.
    """

    def __init__(self, url: str, *, rate: float, threads: int = 10) -> None:
        self.url = urlsplit(url)
        self.results: Counter[str] = Counter()
        self.first_failures: list[str] = []
        self._interval = threads / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(i / rate,), daemon=True) for i in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def total(self) -> int:
        return self.results.total()

    @property
    def failed(self) -> int:
        return self.total - self.results["200"]

    def wait_for(self, count: int, deadline: float = 60) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.total + count
        end = time.monotonic() + deadline
        while self.total < wanted:
            assert time.monotonic() < end, f"only {self.total} of {wanted} answers: {self.results}"
            self._stop.wait(0.02)

    def _run(self, offset: float) -> None:
        connection = None
        due = time.monotonic() + offset
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._interval
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=10)
                connection.request("GET", self.url.path)
                response = connection.getresponse()
                response.read()
                outcome = str(response.status)
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                outcome = f"error: {type(error).__name__}"
                if connection:
                    connection.close()
                connection = None
            with self._lock:
                self.results[outcome] += 1
                if outcome != "200" and len(self.first_failures) < 20:
                    self.first_failures.append(f"{time.time():.2f} {outcome}")
