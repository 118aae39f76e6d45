"""The part of cloud-config that Homeport's images use: the service's environment file.

Real instances run cloud-init; here only ``write_files`` for ``/etc/homeport/service.env`` has an
effect, which is all that Homeport's user-data may hold (the image owns everything else).
"""

import base64
import gzip
import re
import shlex
import zlib
from dataclasses import dataclass
from typing import Any

import yaml

from homeport.errors import HomeportError

SERVICE_ENVIRONMENT = "/etc/homeport/service.env"
LIMIT = 16 * 1024
"""Bytes of user-data that EC2 accepts, counted before base64."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = "#cloud-config"


@dataclass(frozen=True)
class UserData:
    """What user-data asks for: the service's settings; ``ignored`` names what has no effect here."""

    settings: dict[str, str]
    ignored: tuple[str, ...] = ()


def decode(text: str) -> str:
    """Return user-data as text, whether it comes as EC2's API takes it (base64, maybe gzip) or plain."""
    stripped = text.strip()
    if not stripped or stripped.startswith("#"):
        return text
    try:
        raw = base64.b64decode(stripped, validate=True)
        if raw.startswith(b"\x1f\x8b"):
            raw = gzip.decompress(raw) if len(raw) <= LIMIT else raw
        return raw.decode()
    except (ValueError, OSError, zlib.error, EOFError):
        # Not base64, not gzip, not text: whatever it is, it does not begin with our header either.
        return text


def parse(text: str) -> UserData:
    """Return what user-data asks for; raise ``HomeportError`` with the line and the rule when it is bad."""
    text = decode(text)
    if not text.strip():
        return UserData({})
    if text.lstrip().split("\n", 1)[0].strip() != _HEADER:
        raise HomeportError(f"user-data does not begin with the line {_HEADER}: other kinds have no effect here")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The second for dates that do not exist.
        raise HomeportError(f"user-data is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return UserData({})
    if not isinstance(document, dict):
        raise HomeportError("user-data must be a mapping of cloud-config keys")
    files = document.get("write_files") or []
    if not isinstance(files, list):
        raise HomeportError("user-data: write_files must be a list")
    content = ""
    ignored = [str(key) for key in document if key != "write_files"]
    for number, file in enumerate(files):
        if not isinstance(file, dict) or not isinstance(file.get("path"), str):
            raise HomeportError(f"user-data: write_files[{number}] must be a mapping with a path")
        if file["path"] == SERVICE_ENVIRONMENT:
            written = _content(file, number)
            content = f"{content}{written}" if file.get("append") else written
        else:
            ignored.append(file["path"])
    return UserData(parse_environment(content), tuple(ignored))


def parse_environment(text: str) -> dict[str, str]:
    """Return the settings of an environment file as systemd reads it (``EnvironmentFile=``, systemd.exec(5)).

    Comments begin with ``#`` or ``;``; a value may be quoted. Raises ``HomeportError`` naming the line.
    """
    settings = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        name = name.strip()
        if not equals or not _NAME.fullmatch(name):
            # The line itself is not shown: it may hold what somebody wrongly took for a place for secrets.
            raise HomeportError(f"{SERVICE_ENVIRONMENT}, line {number}: expected NAME=value")
        if "\0" in value:
            raise HomeportError(f"{SERVICE_ENVIRONMENT}, line {number}: a value cannot hold a zero byte")
        settings[name] = _unquoted(value.strip(), number)
    return settings


def _unquoted(value: str, number: int) -> str:
    if not value or value[0] not in "\"'":
        return value
    try:
        words = shlex.split(value)
    except ValueError:
        words = []
    if len(words) != 1:
        raise HomeportError(f"{SERVICE_ENVIRONMENT}, line {number}: the quotes do not close where the value ends")
    return words[0]


def _content(file: dict[str, Any], number: int) -> str:
    content, encoding = file.get("content", ""), file.get("encoding", "text/plain")
    if not isinstance(content, str):
        raise HomeportError(f"user-data: write_files[{number}].content must be text")
    if encoding == "text/plain":
        return content
    if encoding not in ("b64", "base64"):
        raise HomeportError(f"user-data: write_files[{number}].encoding must be text/plain or b64")
    try:
        return base64.b64decode(content).decode()
    except ValueError as error:
        raise HomeportError(f"user-data: write_files[{number}].content is not base64 of text") from error
