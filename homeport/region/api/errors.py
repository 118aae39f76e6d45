"""Errors in the wire format that the caller's SDK knows how to read."""

import json
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from homeport.region.api.calls import Call


class Refusal(Exception):  # noqa: N818  it is an answer, not a fault
    """Raised by a gate's hook to answer a call without passing it on."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def render(call: "Call", refusal: Refusal) -> tuple[str, bytes]:
    """Return content type and body of an AWS error (query, ec2, rest-xml or one of the JSON protocols)."""
    request_id = str(uuid.uuid4())
    if call.json:
        error = {"__type": refusal.code, "message": refusal.message, "Message": refusal.message}
        return "application/x-amz-json-1.1", json.dumps(error).encode()
    code, message = escape(refusal.code), escape(refusal.message)
    if call.service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif call.service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return "text/xml", b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode()
