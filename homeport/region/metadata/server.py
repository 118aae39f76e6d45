"""The instance metadata service.

On EC2 all instances ask 169.254.169.254 and the source address tells who asks. Machines with a network
of their own are served in that way: one listener for all (``listen``), to which their calls to that
address are redirected.

Calls between loopback addresses all come from 127.0.0.1, so processes have a listener each, and the
address that is *asked* tells who asks. Two things differ there: any process of this machine can ask,
and there are no hops to limit.
"""

import logging
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import bottle as _bottle
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from homeport.errors import HomeportError
from homeport.region.metadata.model import InstanceMetadata, Issued, Source
from homeport.region.metadata.tokens import Tokens
from homeport.region.metadata.tree import VERSIONS, find, tree
from homeport.system.addresses import ensure_free

bottle: Any = _bottle
"""It is published without type information."""

PORT = 1338
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_THREADS = 2
_SHARED_THREADS = 8
_SOCKET = "homeport.socket"
_TTL = 64
"""Hops that any other answer may travel: Linux's default."""
_LOOP_SECONDS = 30.0

_log = logging.getLogger(__name__)


def endpoint(address: str) -> str:
    """Return what ``AWS_EC2_METADATA_SERVICE_ENDPOINT`` must be on the instance at ``address``."""
    return f"http://{address}:{PORT}"


class MetadataService:
    """Answers for all instances of a region. Calls may come from several threads."""

    def __init__(self, port: int = PORT) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._listeners: dict[str, _Listener] = {}
        self._shared: _Listener | None = None
        self._applications: dict[str, Callable[..., Any]] = {}
        """By source address, where all share one listener."""

    def listen(self, address: str, port: int = PORT) -> None:
        """Answer all instances on one address, each by the address that it asks from; before the first ``start``.

        Who has no instance here gets 404. Raises ``HomeportError`` when the port is taken.
        """
        if self._shared or self._listeners:
            raise RuntimeError("the metadata service listens already")
        self._shared = _Listener(address, port, self._dispatch, _SHARED_THREADS)

    def start(self, address: str, source: Source) -> None:
        """Answer for the instance at ``address`` from now on; raise ``HomeportError`` when its port is taken."""
        self.stop(address)
        if self._shared:
            with self._lock:
                self._applications[address] = application(source)
            return
        listener = _Listener(address, self._port, application(source), _THREADS)
        with self._lock:
            self._listeners[address] = listener

    def stop(self, address: str) -> None:
        """Answer for that address no more; one that was not started is no error."""
        with self._lock:
            self._applications.pop(address, None)
            listener = self._listeners.pop(address, None)
        if listener:
            listener.close()

    def close(self) -> None:
        """Stop all listeners."""
        for address in list(self._listeners):
            self.stop(address)
        if self._shared:
            self._shared.close()
            self._shared = None

    def _dispatch(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self._lock:
            found = self._applications.get(environ["REMOTE_ADDR"])
        return (found or _NOBODY)(environ, start_response)


def application(source: Source) -> Callable[..., Any]:
    """Return the WSGI application of one instance."""
    tokens = Tokens()
    keys = _KeyCache(source)

    def issue_token() -> Any:
        metadata = source.describe()
        _limit_hops(metadata.hop_limit)
        if not metadata.enabled or "X-Forwarded-For" in bottle.request.headers:
            # A proxy that forwards what it should not must never obtain a token.
            return _refused(403, "Forbidden")
        asked = bottle.request.headers.get(TTL_HEADER, "")
        try:
            seconds = int(asked) if asked.isascii() and asked.isdigit() else 0
            token = tokens.issue(seconds)
        except ValueError:
            return _refused(400, "Bad Request")
        return _answer(token, **{TTL_HEADER: str(seconds)})

    def answer(_: str = "") -> Any:
        metadata = source.describe()
        _limit_hops(_TTL)
        if not metadata.enabled:
            return _refused(403, "Forbidden")
        if not _admitted(metadata, tokens):
            return _refused(401, "Unauthorized")
        if bottle.request.path == "/":
            return _answer("\n".join(VERSIONS))
        version, _, path = bottle.request.path.strip("/").partition("/")
        text = find(tree(metadata, keys.get), path) if version in VERSIONS else None
        return _refused(404, "Not Found") if text is None else _answer(text)

    app: Any = bottle.Bottle()
    app.put("/latest/api/token", callback=issue_token)
    app.get("/", callback=answer)
    app.get("/<_:path>", callback=answer)
    wsgi: Callable[..., Any] = app
    return wsgi


def _admitted(metadata: InstanceMetadata, tokens: Tokens) -> bool:
    token = bottle.request.headers.get(TOKEN_HEADER)
    return not metadata.tokens_required if token is None else tokens.good(token)


def _limit_hops(count: int) -> None:
    """Let what is answered now travel so many hops: a token then reaches no container behind the machine.

    The limit holds for tokens alone, as in EC2. Further answers on a kept connection have their own.
    """
    bottle.request.environ[_SOCKET].setsockopt(socket.IPPROTO_IP, socket.IP_TTL, count)


def _answer(text: str | bytes, **headers: str) -> Any:
    body = text.encode() if isinstance(text, str) else text
    kind = "text/plain" if isinstance(text, str) else "application/octet-stream"
    return bottle.HTTPResponse(body, 200, headers={"Content-Type": kind, **headers})


def _refused(status: int, title: str) -> Any:
    page = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        f'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n<head><title>{status} - {title}</title>'
        f"</head>\n<body><h1>{status} - {title}</h1></body>\n</html>\n"
    )
    return bottle.HTTPResponse(page.encode(), status, headers={"Content-Type": "text/html"})


def _nobody() -> Callable[..., Any]:
    """Return the application for those who are no instance of this region."""
    app: Any = bottle.Bottle()
    app.route("/", "ANY", callback=lambda: _refused(404, "Not Found"))
    app.route("/<_:path>", "ANY", callback=lambda _: _refused(404, "Not Found"))
    wsgi: Callable[..., Any] = app
    return wsgi


_NOBODY = _nobody()


class _KeyCache:
    """Keeps a role's keys until half of their life is over: an SDK then never sees them near their end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._issued: dict[str, Issued] = {}

    def get(self, role: str) -> Issued:
        now = datetime.now(UTC)
        with self._lock:
            issued = self._issued.get(role)
            if issued is None or now >= issued.issued_at + (issued.expires_at - issued.issued_at) / 2:
                answer = self._source.credentials(role)
                issued = Issued(
                    issued_at=now,
                    expires_at=answer["Expiration"],
                    access_key_id=answer["AccessKeyId"],
                    secret_access_key=answer["SecretAccessKey"],
                    session_token=answer["SessionToken"],
                )
                self._issued = {role: issued}
            return issued


class _Task(WSGITask):
    def get_environment(self) -> dict[str, Any]:
        """Return WSGI's environment, with the connection in it: see ``_limit_hops``."""
        environment: dict[str, Any] = super().get_environment()
        environment[_SOCKET] = self.channel.socket
        return environment


class _Channel(HTTPChannel):
    task_class = _Task


class _Listener:
    def __init__(self, address: str, port: int, app: Callable[..., Any], threads: int) -> None:
        try:
            self._server = cast(
                "Any",
                create_server(
                    app,
                    host=address,
                    port=port,
                    threads=threads,
                    ident="EC2ws",
                    # A forwarded request must be seen as such, to be refused.
                    clear_untrusted_proxy_headers=False,
                ),
            )
        except OSError as error:
            ensure_free(address, port)
            raise HomeportError(f"cannot serve metadata on {address}:{port}: {error.strerror}") from error
        self._server.channel_class = _Channel
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"metadata-{address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._server.pull_trigger()
        self._thread.join()

    def _run(self) -> None:
        # Waitress has no stop of its own. Whoever pulls the trigger (this class, the workers) must be done
        # with it before it is closed: its descriptor's number may belong to something else right after.
        while not self._closing:
            # select(2) knows no descriptor above 1023, and a region has many: so poll(2).
            wasyncore.loop(timeout=_LOOP_SECONDS, use_poll=True, map=self._server._map, count=1)
        self._server.task_dispatcher.shutdown()
        with self._lock:
            for dispatcher in list(self._server._map.values()):
                dispatcher.close()
