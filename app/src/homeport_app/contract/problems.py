"""Errors as ``application/problem+json``, as RFC 9457 describes it."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec

CONTENT_TYPE = "application/problem+json"


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, rename={"kind": "type"}):
    """The body of every error."""

    kind: Annotated[
        str, msgspec.Meta(description="What kind of problem; `about:blank` says no more than the status.")
    ] = "about:blank"
    title: Annotated[str, msgspec.Meta(description="The status in words.")]
    status: Annotated[int, msgspec.Meta(description="The HTTP status.", ge=400, le=599)]
    detail: Annotated[str, msgspec.Meta(description="What is wrong with this request.")] = ""


class Problem(Exception):  # noqa: N818 - RFC 9457's own word for it
    """Raised by a handler, or by the contract, to answer with an error.

    Args:
        status: HTTP status, 400 to 599.
        detail: one sentence for the caller: what is wrong, and with which part of the request.
        headers: further response headers.
        members: further members of the body, as RFC 9457 allows.
    """

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, **members: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def body(self) -> bytes:
        """The problem as JSON."""
        details = ProblemDetails(title=HTTPStatus(self.status).phrase, status=self.status, detail=self.detail)
        content: dict[str, Any] = msgspec.to_builtins(details)
        return msgspec.json.encode(content | self.members)
