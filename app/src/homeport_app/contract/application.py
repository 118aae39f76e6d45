"""The WSGI application: Bottle's routes, with the contract around every request.

Bottle finds the route and holds the request; its answer objects, hooks and plugins are left out, because they cost
more than all that the contract adds (``bench/`` shows what lies between).
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any

import bottle
import msgspec
import structlog

from homeport_app.contract.measurements import UNMATCHED, Measurements
from homeport_app.contract.paths import decode_segment, encoded_path
from homeport_app.contract.problems import CONTENT_TYPE, Problem
from homeport_app.contract.request_id import RequestIds
from homeport_app.contract.service import Answer, Route, Service

StartResponse = Callable[..., object]

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_encode = msgspec.json.Encoder().encode


class Application(bottle.Bottle):
    """Serves one service."""

    def __init__(self, service: Service, measurements: Measurements) -> None:
        super().__init__(catchall=False, autojson=False)
        self._measurements = measurements
        self._choose_id = RequestIds().choose
        for route in service.routes:
            # Bottle's own syntax for a parameter is <name>
            rule = route.path.replace("{", "<").replace("}", ">")
            self.route(rule, route.method, _answering(route), name=route.path, apply=())

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        began = perf_counter()
        self._measurements.begin()
        method: str = environ["REQUEST_METHOD"]
        request_id = environ["homeport.request_id"] = self._choose_id(environ.get("HTTP_X_REQUEST_ID"))
        template = UNMATCHED
        try:
            environ["PATH_INFO"] = encoded_path(environ)
            bottle.request.bind(environ)
            route, arguments = self.router.match(environ)
            template = route.name
            body, content_type, status, headers = route.callback(arguments)
        except Exception as error:  # noqa: BLE001 - every failure becomes a problem, and is logged when it is ours
            body, content_type, status, headers = _problem_answer(error, template, request_id)
        start_response(
            _STATUS_LINES[status],
            [
                ("Content-Type", content_type),
                ("Content-Length", str(len(body))),
                ("X-Request-Id", request_id),
                *headers,
            ],
        )
        self._measurements.end()
        self._measurements.record(method, template, status, request_id, perf_counter() - began)
        return [] if method == "HEAD" else [body]

    def refuse(self, status: int, detail: str, method: str, sent_id: str | None) -> tuple[Answer, str]:
        """The answer, and its request id, for a request that never became one: malformed, or too large."""
        request_id = self._choose_id(sent_id)
        self._measurements.record(method, UNMATCHED, status, request_id, 0.0)
        return _problem_answer(Problem(status, detail), UNMATCHED, request_id), request_id


def _answering(route: Route) -> Callable[[Mapping[str, str]], Answer]:
    """The route's handler from encoded path arguments to an answer."""
    handler = route.handler
    convert = [(name, functools.partial(_parameter, name, kind)) for name, kind in route.parameters.items()]
    body_decoder = None if route.body is None else msgspec.json.Decoder(route.body)
    status = route.status
    content_type = route.content_type

    def answer(arguments: Mapping[str, str]) -> Answer:
        values = {name: to_value(arguments[name]) for name, to_value in convert}
        if body_decoder is not None:
            values["body"] = _body(body_decoder)
        result = handler(**values)
        return result if isinstance(result, Answer) else Answer(_encode(result), content_type, status)

    return answer


def _parameter(name: str, kind: Any, segment: str) -> Any:
    try:
        text = decode_segment(segment)
    except UnicodeDecodeError:
        raise Problem(400, f"{name}: the path is not valid UTF-8.") from None
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{name}: {_description(kind) or error}") from None


def _description(kind: Any) -> str:
    notes = [note.description for note in getattr(kind, "__metadata__", ()) if isinstance(note, msgspec.Meta)]
    return next((note for note in notes if note), "")


def _body(decoder: "msgspec.json.Decoder[Any]") -> Any:
    raw = bottle.request.environ["wsgi.input"].read()
    try:
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            msgspec.json.decode(raw)  # a wrong value may stand before a fault in the JSON itself, which comes first
            raise Problem(422, f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"The body is not valid JSON: {error}.") from None


def _problem_answer(error: Exception, template: str, request_id: str) -> Answer:
    problem = _to_problem(error)
    if problem.status >= 500 and not isinstance(error, Problem):
        structlog.get_logger().error("request failed", route=template, request_id=request_id, exc_info=error)
    return Answer(problem.body(), CONTENT_TYPE, problem.status, tuple(problem.headers.items()))


def _to_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, bottle.HTTPError):
        if error.status_code == 404:
            return Problem(404, "No such path; /openapi.json lists those that are.")
        if error.status_code == 405:
            methods = set(error.headers["Allow"].split(","))
            allowed = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
            return Problem(405, f"This path allows {allowed}.", headers={"Allow": allowed})
    return Problem(500, "The service failed to answer this request; its log tells why, by the request id.")
