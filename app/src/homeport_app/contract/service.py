"""Services and their routes, declared beside what OpenAPI says of them."""

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = TypeVar("Handler", bound=Callable[..., Any])
Check = Callable[[], None]

_PARAMETER = re.compile(r"\{([a-z_]+)\}")


class Answer(NamedTuple):
    """An answer that is more than a value with the route's own status."""

    body: bytes
    content_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Route(NamedTuple):
    """One method of one path, its handler, and what OpenAPI says of it.

    The handler's annotations are the contract: path parameters by name, ``body`` for a JSON body, and what it
    returns; an ``Answer`` is sent as it is, anything else as JSON.
    """

    method: Method
    path: str
    handler: Callable[..., Any]
    summary: str
    description: str
    status: int
    parameters: dict[str, Any]
    body: Any
    returns: Any
    problems: dict[int, str]
    content_type: str


class Service:
    """A service: its routes, and the checks that tell whether it is ready.

    Args:
        name: as in ``services.yaml``.
        summary: one line for the OpenAPI description.
    """

    def __init__(self, name: str, summary: str) -> None:
        self.name = name
        self.summary = summary
        self.routes: list[Route] = []
        self.checks: dict[str, Check] = {}

    def route(
        self,
        method: Method,
        path: str,
        *,
        summary: str,
        status: int = 200,
        problems: dict[int, str] | None = None,
        content_type: str = "application/json",
    ) -> Callable[[Handler], Handler]:
        """Declare a route: ``@service.route("GET", "/users/{user}/balance", summary="...")``.

        Args:
            method: the HTTP method; GET answers HEAD too.
            path: the path with parameters as ``{name}``, each one segment.
            summary: one line; the handler's docstring is the description.
            status: status of a plain return value.
            problems: further errors of this route, by status.
            content_type: of the answer, for OpenAPI.
        """

        def declare(handler: Handler) -> Handler:
            annotations = inspect.get_annotations(handler, eval_str=True)
            names = _PARAMETER.findall(path)
            missing = [name for name in names if name not in annotations]
            surplus = [name for name in annotations if name not in {*names, "body", "return"}]
            if missing or surplus:
                raise TypeError(f"{method} {path}: handler lacks {missing}, and nothing fills {surplus}")
            self.routes.append(
                Route(
                    method=method,
                    path=path,
                    handler=handler,
                    summary=summary,
                    description=inspect.getdoc(handler) or "",
                    status=status,
                    parameters={name: annotations[name] for name in names},
                    body=annotations.get("body"),
                    returns=annotations.get("return"),
                    problems=problems or {},
                    content_type=content_type,
                )
            )
            return handler

        return declare

    def check(self, name: str, check: Check) -> None:
        """Add a readiness check: it raises when the thing it names cannot be used."""
        self.checks[name] = check
