"""The instance metadata service: a listener of its own for every instance.

On EC2 all instances ask 169.254.169.254 and the source address tells who asks. Calls between loopback
addresses all come from 127.0.0.1, so here the address that is *asked* tells it. Two things differ
therefore: any process of this machine can ask, and there are no hops to limit
(``HttpPutResponseHopLimit`` is kept by the API and has no effect).
"""

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import bottle as _bottle
from waitress import wasyncore
from waitress.server import create_server

from homeport.errors import HomeportError
from homeport.region.addresses import ensure_free
from homeport.region.metadata.model import InstanceMetadata, Issued, Source
from homeport.region.metadata.tokens import Tokens
from homeport.region.metadata.tree import find, tree

bottle: Any = _bottle
"""It is published without type information."""

PORT = 1338
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_VERSION = re.compile(r"/(?:latest|1\.0|20\d\d-\d\d-\d\d)(?:/(.*))?", re.DOTALL)
_THREADS = 2
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

    def start(self, address: str, source: Source) -> None:
        """Answer on ``address`` from now on; raise ``HomeportError`` when its port is taken."""
        self.stop(address)
        listener = _Listener(address, self._port, application(source))
        with self._lock:
            self._listeners[address] = listener

    def stop(self, address: str) -> None:
        """Answer there no more; an address without a listener is no error."""
        with self._lock:
            listener = self._listeners.pop(address, None)
        if listener:
            listener.close()

    def close(self) -> None:
        """Stop all listeners."""
        for address in list(self._listeners):
            self.stop(address)


def application(source: Source) -> Callable[..., Any]:
    """Return the WSGI application of one instance."""
    tokens = Tokens()
    keys = _KeyCache(source)

    def issue_token() -> Any:
        if not source.describe().enabled or "X-Forwarded-For" in bottle.request.headers:
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
        if not metadata.enabled:
            return _refused(403, "Forbidden")
        if not _admitted(metadata, tokens):
            return _refused(401, "Unauthorized")
        if bottle.request.path == "/":
            return _answer("latest")
        versioned = _VERSION.fullmatch(bottle.request.path)
        text = find(tree(metadata, keys.get), versioned[1] or "") if versioned else None
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


def _answer(text: str, **headers: str) -> Any:
    return bottle.HTTPResponse(text.encode(), 200, headers={"Content-Type": "text/plain", **headers})


def _refused(status: int, title: str) -> Any:
    return bottle.HTTPResponse(f"{status} - {title}\n".encode(), status, headers={"Content-Type": "text/plain"})


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


class _Listener:
    def __init__(self, address: str, port: int, app: Callable[..., Any]) -> None:
        try:
            self._server: Any = create_server(
                app,
                host=address,
                port=port,
                threads=_THREADS,
                ident="EC2ws",
                # A forwarded request must be seen as such, to be refused.
                clear_untrusted_proxy_headers=False,
            )
        except OSError as error:
            ensure_free(address, port)
            raise HomeportError(f"cannot serve metadata on {address}:{port}: {error.strerror}") from error
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
