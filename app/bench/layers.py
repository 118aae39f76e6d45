"""What lies between bare Bottle and the service: the application's parts, called without a network.

Each row takes a part away and is timed again, so the differences tell what a part costs.
"""

import os
import timeit
from collections.abc import Callable, Iterable
from typing import Any

import peers
from prometheus_client import CollectorRegistry

from homeport_app.contract.application import Application
from homeport_app.contract.measurements import Measurements
from homeport_app.logs import LineWriter
from homeport_app.services import balance

_CALLS = 5_000
_ROUNDS = 7

Wsgi = Callable[..., Iterable[bytes]]


def measure() -> dict[str, float]:
    """Microseconds a request, best of several rounds, by layer."""
    sink = os.open(os.devnull, os.O_WRONLY)
    writer = LineWriter(sink)
    writer.start()
    service = balance.create(balance.Settings())
    applications: dict[str, Wsgi] = {
        "bare Waitress application": peers.waitress_peer(),
        "bare Bottle": peers.bottle_peer(),
        "routes, values, request ids": Application(service, _Unmeasured()),
        "with metrics": Application(service, Measurements(CollectorRegistry(), None, "balance", "bench")),
        "with metrics and log": Application(service, Measurements(CollectorRegistry(), writer, "balance", "bench")),
    }
    times = dict.fromkeys(applications, float("inf"))
    for _ in range(_ROUNDS):
        for name, application in applications.items():
            seconds = timeit.timeit(lambda application=application: _request(application), number=_CALLS)
            times[name] = min(times[name], seconds / _CALLS * 1e6)
    writer.close()
    return times


class _Unmeasured(Measurements):
    def __init__(self) -> None:
        super().__init__(CollectorRegistry(), None, "balance", "bench")
        self.begin = self.end = lambda: None

    def record(self, *_: object) -> None:
        """Keep nothing."""


def _request(application: Wsgi) -> None:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/users/alice/balance",
        "PATH_INFO": "/users/alice/balance",
        "QUERY_STRING": "",
    }
    b"".join(application(environ, lambda *_: None))
