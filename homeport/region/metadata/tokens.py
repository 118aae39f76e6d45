"""Session tokens of the metadata service's version 2."""

import base64
import binascii
import hashlib
import hmac
import os
import struct
import time

LONGEST = 21600
"""Seconds, as EC2 has it; the shortest life is one second."""

_BODY = struct.Struct(">d17s")
"""With the signature 57 bytes: base64 of a multiple of three has one spelling only."""


class Tokens:
    """Issues tokens that carry their own end, signed: there is nothing to remember and nothing to fill up.

    Each instance has its own key, so that no other instance's token is good here.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def issue(self, seconds: int) -> str:
        """Return a token that is good for ``seconds``; raise ``ValueError`` for more or less than EC2 allows."""
        if not 1 <= seconds <= LONGEST:
            raise ValueError(f"a token lives 1 to {LONGEST} seconds, not {seconds}")
        body = _BODY.pack(time.monotonic() + seconds, os.urandom(17))
        return base64.urlsafe_b64encode(body + self._sign(body)).decode()

    def good(self, token: str) -> bool:
        """Return whether the token is one of ours and has not run out."""
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return False
        body, signature = raw[: _BODY.size], raw[_BODY.size :]
        if len(body) != _BODY.size or not hmac.compare_digest(signature, self._sign(body)):
            return False
        end: float = _BODY.unpack(body)[0]
        return time.monotonic() < end

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)
