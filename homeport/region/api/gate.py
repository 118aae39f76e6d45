"""The one door to the API: every request passes here before a service sees it."""

import io
import ipaddress
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import Any

from botocore.model import OperationNotFoundError

from homeport.region.api.calls import Call, identify
from homeport.region.api.errors import Refusal, render

logger = logging.getLogger(__name__)

Before = Callable[[Call], None]
"""Looks at a call before its service does; raises ``Refusal`` to answer it. Identity checks come here."""
After = Callable[[Call, int], None]
"""Told of every answered call with its HTTP status."""

MAX_BODY_BYTES = 512 * 1024 * 1024
"""moto keeps every body in memory."""

CLOSED_PATHS = ("/moto-api", "/latest/")
"""moto's own controls (a reset asks nobody) and its stand-in for instance metadata."""

LOCAL_NAMES = ("localhost", "localhost.localstack.cloud", "homeport.internal")
"""``localhost.localstack.cloud`` is what awslocal and tflocal call 127.0.0.1 by."""

OWN_LOCKS = frozenset({"autoscaling"})
"""Services of our own, that guard their own state."""


class Gate:
    """WSGI middleware: refuses what must not get in, runs hooks, and holds the lock that moto needs.

    moto is not safe under threads, and its services call each other, so one lock covers them all.
    Two exceptions: services of our own, and SQS's ReceiveMessage, which sleeps inside the request.
    """

    def __init__(
        self,
        application: Any,
        *,
        before: Iterable[Before] = (),
        after: Iterable[After] = (),
        also: Iterable[str] = (),
    ) -> None:
        """``also`` names addresses by which callers may ask, beside this machine's own names for itself."""
        self._also = frozenset(also)
        self._application = application
        self._before = tuple(before)
        self._after = tuple(after)
        self.lock = threading.RLock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer one request."""
        status, headers, body = self._answer(environ)
        start_response(f"{status} {_phrase(status)}", headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        call = Call("", "", "", "", json=False)
        try:
            _check_envelope(environ, self._also)
            _collect_chunks(environ)
            call = identify(environ)
            for hook in self._before:
                hook(call)
            answer = self._ask_service(call, environ)
        except Refusal as refusal:
            answer = _refuse(call, refusal)
        except (NotImplementedError, OperationNotFoundError):
            answer = _refuse(call, _unknown(call))
        except Exception:
            logger.exception("%s %s failed inside the region", call.service, call.action)
            # Not a 5xx: the SDKs would repeat the same fault for minutes before anybody saw it.
            message = f"{call.service} {call.action} failed inside the region; its log has the traceback"
            answer = _refuse(call, Refusal("InternalFailure", message))
        for observer in self._after:
            observer(call, answer[0])
        return answer

    def _ask_service(self, call: Call, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        captured: list[Any] = []
        with self._lock_for(call):
            chunks = self._application(environ, lambda status, headers, *_: captured.extend((status, headers)))
            body = b"".join(chunks)
        status, headers = int(captured[0].split(" ")[0]), list(captured[1])
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
        if status >= HTTPStatus.BAD_REQUEST and content_type.startswith("text/html") and body.startswith(b"<!doctype"):
            # werkzeug's own page: no service of moto's has such a route.
            raise _unknown(call)
        return status, headers, body

    def _lock_for(self, call: Call) -> AbstractContextManager[Any]:
        if call.service in OWN_LOCKS or (call.service == "sqs" and call.action == "ReceiveMessage"):
            return nullcontext()
        return self.lock


def _check_envelope(environ: dict[str, Any], also: frozenset[str]) -> None:
    host = environ.get("HTTP_HOST", "").rpartition("]")[2] if "]" in environ.get("HTTP_HOST", "") else ""
    host = host or environ.get("HTTP_HOST", "").rsplit(":", 1)[0]
    if not (_is_local(host) or host in also) or "HTTP_ORIGIN" in environ:
        # A web page in a browser on this machine must not reach the API, neither through CORS
        # nor through a name of its own that it points at 127.0.0.1.
        raise Refusal("AccessDenied", f"the region answers local tools only, not a browser or {host!r}", 403)
    if environ.get("PATH_INFO", "").startswith(CLOSED_PATHS):
        raise Refusal("AccessDenied", "this path is closed in the region", 403)
    if int(environ.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        raise Refusal("EntityTooLarge", f"the region takes at most {MAX_BODY_BYTES} bytes a request", 413)


def _collect_chunks(environ: dict[str, Any]) -> None:
    """Give a body that came in chunks a length: neither moto nor our own reading knows of any other."""
    if environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower() != "chunked":
        return
    body = bytearray()
    # Not read(): werkzeug's stream shrinks the buffer that read() gives it when a chunk is cut short, and the
    # interpreter then reads past its end. A view cannot be shrunk.
    view = memoryview(bytearray(65536))
    try:
        while count := environ["wsgi.input"].readinto(view):
            body += view[:count]
            if len(body) > MAX_BODY_BYTES:
                raise Refusal("EntityTooLarge", f"the region takes at most {MAX_BODY_BYTES} bytes a request", 413)
    except (OSError, ValueError) as error:
        raise Refusal("MalformedRequest", f"the body's chunks cannot be read: {error}") from error
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    del environ["HTTP_TRANSFER_ENCODING"]


def _is_local(host: str) -> bool:
    if host.startswith("[") or host == "":
        return host in ("[::1]", "")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.endswith(tuple(f".{name}" for name in LOCAL_NAMES)) or host in LOCAL_NAMES


def _unknown(call: Call) -> Refusal:
    what = f"{call.service} {call.action}".strip() or "this request"
    return Refusal(
        "InvalidAction", f"The action {what} is not valid for this web service: the region does not know it."
    )


def _refuse(call: Call, refusal: Refusal) -> tuple[int, list[tuple[str, str]], bytes]:
    content_type, body = render(call, refusal)
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("x-amzn-ErrorType", refusal.code)]
    return refusal.status, headers, body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
