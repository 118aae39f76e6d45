"""moto's server, in process, behind the gate."""

import importlib
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from homeport.region.api.gate import After, Before, Gate


class QuietRequestHandler(MotoRequestHandler):
    """moto's request handler without an access log line a request: callers that matter log themselves."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


class ApiServer:
    """The AWS API on one loopback port: ``start`` binds, ``close`` ends the listener and its threads."""

    def __init__(self, port: int, *, before: Iterable[Before] = (), after: Iterable[After] = ()) -> None:
        self.gate = Gate(DomainDispatcherApplication(_create_app), before=before, after=after)
        self._server = make_server("127.0.0.1", port, self.gate, threaded=True, request_handler=QuietRequestHandler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="api", daemon=True)

    @property
    def url(self) -> str:
        """The endpoint as an IP literal: with a name, SDKs would prefix buckets to it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def replace_responses(service: str, response: Any) -> None:
    """Let ``response``, a subclass of moto's class for the service, answer for it; before the server starts.

    Follows the shape of moto's ``urls`` modules: ``url_paths`` maps a path to the dispatching method.
    """
    urls = importlib.import_module(f"moto.{service}.urls")
    urls.url_paths = dict.fromkeys(urls.url_paths, response.dispatch)  # type: ignore[attr-defined]


def _create_app(service: Any) -> Any:
    try:
        return create_backend_app(service)
    except (AttributeError, ImportError, ValueError) as error:
        raise NotImplementedError(service) from error
