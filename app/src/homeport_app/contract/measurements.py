"""What is kept of every request: metrics and one log line, with everything that can be prepared before it comes."""

import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from homeport_app.logs import LineWriter

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
UNMATCHED = "unmatched"
_ROUTINE = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by machines every few seconds: counted, but a line each would drown the log. A failure gets its line."""


class Measurements:
    """The request metrics and the access log of one service.

    The labels are bounded: a route is its template, an unknown method is ``OTHER``. A log line holds no path, no
    query and no body: user names and messages stand in them.
    """

    def __init__(self, registry: CollectorRegistry, writer: LineWriter | None, service: str, environment: str) -> None:
        labels = ("service", "method", "route", "status")
        self._service = service
        self._environment = environment
        self._writer = writer
        self._requests = Counter("homeport_http_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "homeport_http_request_duration_seconds",
            "Time in the application, without the wait for a thread.",
            labels,
            registry=registry,
            buckets=_BUCKETS,
        )
        in_flight = Gauge(
            "homeport_http_requests_in_flight",
            "Requests being handled now.",
            ("service",),
            registry=registry,
            multiprocess_mode="livesum",
        ).labels(service)
        self.begin = in_flight.inc
        self.end = in_flight.dec
        self._series: dict[tuple[str, str, int], _Series] = {}

    def record(self, method: str, route: str, status: int, request_id: str, seconds: float) -> None:
        """Count, time and log one answered request; ``request_id`` must be well formed."""
        key = (method if method in _METHODS else "OTHER", route, status)
        series = self._series.get(key) or self._prepare(key)
        series.increment()
        series.observe(seconds)
        if series.log_fields and self._writer is not None:
            now = time.time()
            second = int(now)
            self._writer.write(
                f'{{"time":"{_clock(second)}.{int((now - second) * 1e6):06d}Z",{series.log_fields},'
                f'"request_id":"{request_id}","duration_ms":{seconds * 1e3:.3f}}}\n'.encode()
            )

    def _prepare(self, key: tuple[str, str, int]) -> "_Series":
        method, route, status = key
        labels = (self._service, method, route, str(status))
        fields = {
            "level": "info",
            "service": self._service,
            "environment": self._environment,
            "event": "request",
            "method": method,
            "route": route,
            "status": status,
        }
        series = self._series[key] = _Series(
            self._requests.labels(*labels).inc,
            self._seconds.labels(*labels).observe,
            "" if route in _ROUTINE and status == HTTPStatus.OK else msgspec.json.encode(fields).decode()[1:-1],
        )
        return series


class _Series(NamedTuple):
    """What one combination of method, route and status needs, resolved once."""

    increment: Callable[[], None]
    observe: Callable[[float], None]
    log_fields: str
    """Empty for what is not worth a line."""


@lru_cache(maxsize=2)
def _clock(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
