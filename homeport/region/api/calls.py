"""Who asks for what: read from a request before any service sees it."""

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from homeport.region.api.errors import Refusal

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request(?:,|$)")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Call:
    """One API request, as far as its envelope tells: ``action`` is ``METHOD /path`` for REST services."""

    service: str
    action: str
    region: str
    access_key_id: str
    json: bool
    """Whether the caller speaks one of AWS's JSON protocols, and so expects errors in JSON."""


def identify(environ: dict[str, Any]) -> Call:
    """Read the signature's credential scope and the action; a form's body is put back for the service.

    Raises ``Refusal`` for an Authorization header of another form than AWS's: who reads it in another way
    than we do would ask another service.
    """
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    credential = _CREDENTIAL.match(authorization)
    if authorization and not credential:
        raise Refusal("IncompleteSignature", "The Authorization header is not one of Signature Version 4.")
    query = parse_qs(environ.get("QUERY_STRING", ""))
    if credential:
        access_key_id, region, service = credential.groups()
    else:
        scope = query.get("X-Amz-Credential", [""])[0].split("/")
        access_key_id, region, service = (scope[0], scope[2], scope[3]) if len(scope) == 5 else ("", "", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    content_type = environ.get("CONTENT_TYPE", "")
    if target:
        action = target.rpartition(".")[2]
    elif content_type.startswith(_FORM):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    else:
        action = query.get("Action", [""])[0]
    return Call(
        service=service.lower(),
        action=action or f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}",
        region=region,
        access_key_id=access_key_id,
        json=bool(target) or "json" in content_type,
    )
