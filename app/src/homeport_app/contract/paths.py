"""Paths as the caller sent them: percent-encoded until the route is known, then decoded once.

Waitress hands over a path whose escapes are already undone, as latin-1, and Bottle then drops every byte that is not
UTF-8. Both would make ``a%2Fb`` two segments and ``%ff`` nothing, so routes match the encoded path instead.
"""

from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

# unreserved characters and sub-delimiters of RFC 3986, with ":" and "@": what a segment may hold as it is
_SEGMENT_SAFE = "-._~!$&'()*+,;=:@"


def encoded_path(environ: dict[str, Any]) -> str:
    """The request's path, percent-encoded in one normal form, so that equal paths are equal texts."""
    uri: str = environ.get("REQUEST_URI") or ""
    if not uri:  # a WSGI server without REQUEST_URI: an encoded slash is lost there
        return quote_from_bytes(environ["PATH_INFO"].encode("latin-1"), "/" + _SEGMENT_SAFE)
    if "%" not in uri:
        return str(environ["PATH_INFO"])
    path = uri.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        path = urlsplit(path).path
    segments = path.lstrip("/").encode("latin-1").split(b"/")
    return "/" + "/".join(quote_from_bytes(unquote_to_bytes(segment), _SEGMENT_SAFE) for segment in segments)


def decode_segment(segment: str) -> str:
    """The text of one segment of an encoded path.

    Raises:
        UnicodeDecodeError: its bytes are not UTF-8.
    """
    return unquote_to_bytes(segment).decode() if "%" in segment else segment
