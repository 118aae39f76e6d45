"""Request ids: the caller's when well formed, else our own."""

import itertools
import os
import re

_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~+/=:@-]{0,127}").fullmatch


class RequestIds:
    """Makes ids of 32 characters: a random prefix a process, then a counter. Unique, not secret.

    Make one after the last fork: two processes must not share a prefix.
    """

    def __init__(self) -> None:
        self._prefix = os.urandom(10).hex()
        self._numbers = itertools.count()

    def choose(self, sent: str | None) -> str:
        """``sent`` when it is well formed (1 to 128 letters, digits and ``._~+/=:@-``), else a new id."""
        if sent is not None and _WELL_FORMED(sent):
            return sent
        return f"{self._prefix}{next(self._numbers):012x}"
