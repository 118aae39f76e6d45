"""What we compare ourselves with: the same answer from a bare Waitress application and from bare Bottle on it.

Run as ``python peers.py KIND PORT``. Threads and polling are those of the real service, the rest is Waitress's own.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

import bottle
import waitress

from homeport_app.settings import Settings

_SETTINGS = Settings(service="balance", port=1)


def waitress_peer() -> Callable[..., Iterable[bytes]]:
    """One constant answer."""
    body = json.dumps({"user": "alice", "tocos": 100}).encode()

    def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return application


def bottle_peer() -> bottle.Bottle:
    """A route with a parameter, returning a dict: what a newcomer to Bottle writes."""
    application = bottle.Bottle()

    @application.get("/users/<user>/balance")
    def balance(user: str) -> dict[str, object]:
        return {"user": user, "tocos": 100}

    return application


if __name__ == "__main__":
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as the service does, else the peers pay for it alone
    waitress.serve(
        {"waitress": waitress_peer, "bottle": bottle_peer}[sys.argv[1]](),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        threads=_SETTINGS.threads,
        connection_limit=_SETTINGS.connection_limit,
        asyncore_use_poll=True,
        _quiet=True,
    )
