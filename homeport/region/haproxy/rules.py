"""Renders a listener's rules: which rule a request meets, and what is done with it."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from itertools import pairwise

from homeport.errors import HomeportError
from homeport.region.haproxy.model import Condition, FixedResponse, Forward, Listener, Redirect, Rule
from homeport.region.haproxy.quoting import log_format, quoted, token, url_text, wildcard_regex

SERVER = "awselb/2.0"
"""How the Application Load Balancer signs the responses that it makes itself."""
FORWARD_COOKIE = "AWSALBTG"
CONTENT_TYPES = ("text/plain", "text/css", "text/html", "application/javascript", "application/json")
_MATCHED = "{ var(txn.rule) -m found }"
_PLACEHOLDER = re.compile(r"(#\{(?:protocol|host|port|path|query)\})")
_METHOD = re.compile(r"[A-Za-z_-]{1,40}")


def rule_lines(
    listener: Listener, backends: Mapping[str, str], files: dict[str, bytes], max_age: Callable[[int], int]
) -> list[str]:
    """Return the lines that pick a rule and carry it out.

    ``backends`` maps ARNs of target groups to backends; bodies go to ``files``; ``max_age`` turns a
    period in AWS's seconds into the seconds that a cookie lives.
    """
    # HAProxy runs use_backend after every http-request rule, so the priority order is settled first.
    ordered = sorted((rule for rule in listener.rules if rule.conditions), key=lambda rule: rule.priority)
    ordered += [rule for rule in listener.rules if not rule.conditions]
    lines: list[str] = []
    for number, rule in enumerate(ordered):
        lines += _match_lines(number, rule)
    for number, rule in enumerate(ordered):
        this = f"{{ var(txn.rule) -m int {number} }}"
        match rule.action:
            case Forward():
                lines += _forward_lines(rule.action, this, backends, max_age)
            case Redirect():
                lines += _redirect_lines(rule.action, this, listener)
            case FixedResponse():
                lines += _fixed_lines(rule.action, this, files)
    return lines


def _match_lines(number: int, rule: Rule) -> list[str]:
    lines, names = [], []
    for position, condition in enumerate(rule.conditions):
        name = f"r{number}c{position}"
        names.append(name)
        # An acl declared in several lines holds when one of them does.
        lines += [f"acl {name} {test}" for test in condition_tests(condition)]
    return [*lines, " ".join([f"http-request set-var(txn.rule) int({number}) if !{_MATCHED}", *names])]


def condition_tests(condition: Condition) -> list[str]:
    """Return the tests of which one must hold; raises ``HomeportError`` for a condition that AWS refuses too."""
    match condition.field:
        case "path-pattern":
            tests = [f"path -m reg -- {_whole(value)}" for value in condition.values]
        case "host-header":
            tests = [f"req.hdr(host),field(1,:) -m reg -i -- {_whole(value)}" for value in condition.values]
        case "http-header":
            name = token(condition.header, "header name")
            tests = [f"req.fhdr({name}) -m reg -i -- {_whole(value)}" for value in condition.values]
        case "http-request-method":
            tests = [f"method -m str -- {_method(value)}" for value in condition.values]
        case "query-string":
            tests = [f"query -m reg -i -- {_query_regex(key, value)}" for key, value in condition.query]
        case "source-ip":
            tests = [f"src -m ip -- {_network(value)}" for value in condition.values]
        case other:
            raise HomeportError(f"unknown condition field {other!r}")
    if not tests:
        raise HomeportError(f"a {condition.field} condition needs at least one value")
    return tests


def _query_regex(key: str, value: str) -> str:
    pair = {"escapes": True, "any_text": "[^&]*", "any_one": "[^&]"}
    name = wildcard_regex(key, **pair) + "=" if key else "([^&=]*=)?"  # type: ignore[arg-type]
    return quoted(f"(^|&){name}{wildcard_regex(value, **pair)}(&|$)")  # type: ignore[arg-type]


def _whole(pattern: str) -> str:
    return quoted(f"^{wildcard_regex(pattern)}$")


def _method(value: str) -> str:
    if not _METHOD.fullmatch(value):
        raise HomeportError(f"request method {value!r} may hold only letters, hyphens and underscores")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise HomeportError(f"source-ip value {value!r} is no address range in CIDR notation") from None


def _forward_lines(action: Forward, this: str, backends: Mapping[str, str], max_age: Callable[[int], int]) -> list[str]:
    weighted = [(backends[arn], weight) for arn, weight in action.target_groups if arn in backends and weight > 0]
    if not weighted:
        return [f"http-request return status 503 default-errorfiles if {this}"]
    total = sum(weight for _, weight in weighted)
    lines = []
    undecided = f"{this} !{{ var(txn.group) -m found }}"
    if action.stickiness_seconds and len(weighted) > 1:
        names = " ".join(backend for backend, _ in weighted)
        cookie = f"req.cook({FORWARD_COOKIE})"
        lines.append(f"http-request set-var(txn.group) {cookie} if {this} {{ {cookie} -m str -- {names} }}")
    lines.append(f"http-request set-var(txn.dice) rand({total}) if {this}")
    bounds = [sum(weight for _, weight in weighted[:count]) for count in range(len(weighted) + 1)]
    for (_, bound), (backend, _) in zip(pairwise(bounds), weighted, strict=True):
        lines.append(
            f"http-request set-var(txn.group) str({backend}) if {undecided} {{ var(txn.dice) -m int lt {bound} }}"
        )
    if action.stickiness_seconds and len(weighted) > 1:
        value = f"{FORWARD_COOKIE}=%[var(txn.group)]; Max-Age={max_age(action.stickiness_seconds)}; Path=/"
        lines.append(f"http-response add-header Set-Cookie {quoted(value)} if {this}")
    return lines


def _redirect_lines(action: Redirect, this: str, listener: Listener) -> list[str]:
    if action.status not in (301, 302):
        raise HomeportError(f"a redirect answers with 301 or 302, not {action.status}")
    known = {
        "#{protocol}": listener.protocol.lower(),
        "#{host}": "%[req.hdr(host),field(1,:)]",
        "#{port}": str(listener.port),
        "#{path}": "%[path,regsub(^/,)]",
        "#{query}": "%[query]",
    }

    def filled(template: str) -> str:
        parts = _PLACEHOLDER.split(template)
        return "".join(known[part] if part in known else log_format(url_text(part)) for part in parts)

    protocol = filled(action.protocol.lower())
    path = filled(action.path)
    target = f"{protocol}://{filled(action.host)}:{filled(action.port)}{path if path.startswith('/') else '/' + path}"
    answer = f"http-request return status {action.status} hdr Server {SERVER} hdr Location"
    if not action.query:
        return [f"{answer} {quoted(target)} if {this}"]
    with_query = f"{answer} {quoted(target + '?' + filled(action.query))} if {this}"
    if action.query != "#{query}":
        return [with_query]
    return [with_query + " { query -m found }", f"{answer} {quoted(target)} if {this}"]


def _fixed_lines(action: FixedResponse, this: str, files: dict[str, bytes]) -> list[str]:
    if not (200 <= action.status < 300 or 400 <= action.status < 600):
        raise HomeportError(f"a fixed response answers with 2XX, 4XX or 5XX, not {action.status}")
    content_type = action.content_type or "text/plain"
    if content_type not in CONTENT_TYPES:
        raise HomeportError(f"content type {content_type!r} is none of {', '.join(CONTENT_TYPES)}")
    if len(action.body) > 1024:
        raise HomeportError(f"the fixed response's body has {len(action.body)} characters; 1024 are allowed")
    # A file, because HAProxy reads at most 2048 bytes of a line.
    name = f"body-{len(files)}"
    files[name] = action.body.encode()
    signed = f"content-type {content_type} file {name} hdr Server {SERVER}"
    return [f"http-request return status {action.status} {signed} if {this}"]
