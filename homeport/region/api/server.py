"""moto's server, in process, behind the gate."""

import os
import threading
from collections.abc import Iterable
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from homeport.region.api.gate import After, Before, Gate
from homeport.region.from_moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from homeport.system.addresses import ensure_free

_POLL_SECONDS = 0.1
"""How soon a server sees that it shall end."""


class QuietRequestHandler(MotoRequestHandler):
    """moto's request handler without an access log line a request: callers that matter log themselves."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


class ApiServer:
    """The AWS API on one loopback port: ``start`` binds, ``close`` ends the listener and its threads."""

    def __init__(
        self, port: int, *, before: Iterable[Before] = (), after: Iterable[After] = (), also: Iterable[str] = ()
    ) -> None:
        """``also`` names further addresses to answer on: those by which machines with a network reach this one."""
        # moto's own setting: a thousand images of others that nothing here could launch, read in a second.
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        addresses = list(also)
        application = DomainDispatcherApplication(_create_app)
        self.gate = Gate(application, before=before, after=after, also=addresses)
        self._servers: list[BaseWSGIServer] = []
        for address in ("127.0.0.1", *addresses):
            try:
                self._servers.append(self._listen(address, self.port if self._servers else port))
            except BaseException:
                for server in self._servers:
                    server.server_close()
                raise
        self._threads = [
            threading.Thread(target=server.serve_forever, args=[_POLL_SECONDS], name=f"api-{server.host}", daemon=True)
            for server in self._servers
        ]

    @property
    def port(self) -> int:
        """The port, the same on every address."""
        return self._servers[0].server_port

    @property
    def url(self) -> str:
        """The endpoint as an IP literal: with a name, SDKs would prefix buckets to it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer requests from now on."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop listening; the ports are free when this returns."""
        for thread, server in zip(self._threads, self._servers, strict=True):
            if thread.is_alive():
                server.shutdown()
                # The thread closes the listener itself, and may be about to.
                thread.join()
            server.server_close()

    def _listen(self, address: str, port: int) -> BaseWSGIServer:
        ensure_free(address, port)
        return make_server(address, port, self.gate, threaded=True, request_handler=QuietRequestHandler)


def _create_app(service: Any) -> Any:
    try:
        return create_backend_app(service)
    except (AttributeError, ImportError, ValueError) as error:
        raise NotImplementedError(service) from error
