"""Turns values that come from the API into words of HAProxy's configuration that mean nothing else.

Control characters cannot be written there at all (a line ends at a newline, quoted or not), so a value
that holds one is refused; everything else is quoted.
"""

import hashlib
import re
from urllib.parse import quote

from homeport.errors import HomeportError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-")
_URL_SAFE = "/:?#[]@!$&()*+,;=-._~%"
"""What RFC 3986 lets stand in a URL, without the apostrophe (it would end our quotes)."""


def quoted(value: str) -> str:
    """Return ``value`` as one word of the configuration (configuration manual, 2.2 Quoting and escaping)."""
    if _CONTROL.search(value):
        raise HomeportError(f"{value!r} holds a control character, which a load balancer cannot match or send")
    return "'" + value.replace("'", "'\\''") + "'"


def token(value: str, what: str) -> str:
    """Return ``value`` unchanged when it can stand unquoted; ``what`` names it in the error."""
    if not _TOKEN.fullmatch(value):
        raise HomeportError(f"{what} {value!r} may hold only letters, digits, dots, hyphens and underscores")
    return value


def url_text(value: str) -> str:
    """Return ``value`` with everything percent-encoded that must not stand in a URL."""
    return quote(value, safe=_URL_SAFE)


def log_format(value: str) -> str:
    """Return ``value`` so that a log-format string prints it and evaluates nothing in it."""
    return value.replace("%", "%%")


def wildcard_regex(pattern: str, *, escapes: bool = False, any_text: str = ".*", any_one: str = ".") -> str:
    r"""Return a PCRE for an AWS pattern (``*`` any text, ``?`` one character), without anchors.

    All but letters, digits and a few marks becomes ``\xHH``, so that quoting is all it needs. With
    ``escapes`` a backslash takes the meaning off the character after it (query-string conditions).
    """
    parts: list[str] = []
    rest = iter(pattern)
    for character in rest:
        if character == "*":
            # Two in a row say no more than one, and would multiply the work of matching.
            if parts[-1:] != [any_text]:
                parts.append(any_text)
        elif character == "?":
            parts.append(any_one)
        else:
            literal = next(rest, character) if escapes and character == "\\" else character
            parts += [chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in literal.encode()]
    return "".join(parts)


def identifier(*parts: str, readable: str) -> str:
    """Return a name that is unique for ``parts`` and begins with what can be kept of ``readable``."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', readable).strip('-')[:40]}-{digest}"
