"""Renders the configuration of the HAProxy that does one load balancer's work (2.6 and newer)."""

import grp
import ipaddress
import os
import pwd
import re
import resource
from dataclasses import dataclass

from homeport.errors import HomeportError
from homeport.region.clock import Clock
from homeport.region.haproxy.model import Listener, LoadBalancer, TargetGroup
from homeport.region.haproxy.quoting import quoted, token, url_text
from homeport.region.haproxy.rules import SERVER, rule_lines
from homeport.region.haproxy.servers import Server, backend_name, milliseconds, open_backend_name, servers

CONFIG_FILE = "haproxy.cfg"
SOCKET = "stats.sock"
STATE_FILE = "servers.state"
FIRST_HOP, BETWEEN_HOPS, SECOND_HOP = "port-", "hop-", "rules-"
"""What the sections of a listener's two hops are called, before its port."""
CONNECT_TIMEOUT = 10
"""Seconds that the Application Load Balancer gives a target to accept a connection."""
_MATCHER = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?(,[1-5]\d\d(-[1-5]\d\d)?)*")
_BALANCE = {
    "round_robin": "roundrobin",
    "least_outstanding_requests": "leastconn",
    "weighted_random": "random",
}
_ERRORS = {
    400: "400 Bad Request",
    500: "500 Internal Server Error",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}


@dataclass(frozen=True)
class Rendered:
    """A load balancer as HAProxy reads it; ``files`` lie beside the configuration, by name."""

    address: str
    text: str
    files: dict[str, bytes]
    servers: tuple[Server, ...]
    groups: dict[str, str]
    """Backends and the ARNs of their target groups."""
    skeleton: str
    """The text without its server lines: as long as it and the files stay, no reload is needed."""


def render(load_balancer: LoadBalancer, clock: Clock) -> Rendered:
    """Render a load balancer; raises ``HomeportError`` for a value that HAProxy cannot be given.

    Every path is relative to the balancer's folder, in which HAProxy runs: nothing to quote, and no
    limit on the folder's depth from the socket's 108 bytes.
    """
    found = servers(load_balancer, clock)
    files = {f"{status}.http": _error_response(reason) for status, reason in _ERRORS.items()}
    head = [*_global_lines(len(load_balancer.listeners)), "", *_defaults_lines(load_balancer)]
    backends = {group.arn: backend_name(group) for group in load_balancer.target_groups}
    for listener in load_balancer.listeners:
        head += ["", *_port_lines(load_balancer, listener, files)]
        head += ["", *_rules_lines(load_balancer, listener, backends, files, clock)]
    lines, skeleton = list(head), list(head)
    for group in load_balancer.target_groups:
        mine = [server for server in found if server.group_arn == group.arn]
        checked = ["", *_backend_lines(backend_name(group), group, clock), *_check_lines(load_balancer, group)]
        unchecked = ["", *_backend_lines(open_backend_name(group), group, clock)]
        lines += checked + [f"    server {server.name} {server.place} {server.options}" for server in mine]
        lines += unchecked + [f"    server {server.name} {server.place} {server.open_options}" for server in mine]
        # The options belong to the group; written once more, they make their change a reload.
        skeleton += checked + unchecked + sorted({server.options for server in mine})
    return Rendered(
        load_balancer.address,
        "\n".join(lines) + "\n",
        files,
        tuple(found),
        {backend: arn for arn, backend in backends.items()},
        "\n".join(skeleton),
    )


def unprivileged_user() -> tuple[str, str]:
    """Return user and group to which a HAProxy started as root drops."""
    for name in ("haproxy", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return name, grp.getgrgid(user.pw_gid).gr_name
    raise HomeportError("neither a user haproxy nor nobody exists to run the load balancer as")


def _global_lines(listeners: int) -> list[str]:
    lines = [
        "global",
        f"    stats socket unix@{SOCKET} mode 600 level admin expose-fd listeners",
        # An observer stays connected to a replaced process, to count what it still has in flight.
        "    stats timeout 1h",
        "    hard-stop-after 1h",
        f"    server-state-file {STATE_FILE}",
        # Else the first check of a target waits up to a whole interval.
        "    max-spread-checks 200ms",
        "    nbthread 1",
        # Both hops count: no client may wait for a connection that other clients' first hops took.
        f"    maxconn {2 * max(1, listeners) * _connections(listeners)}",
        "    log stdout format raw local0",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2",
    ]
    if os.geteuid() == 0:
        user, group = unprivileged_user()
        lines += [f"    user {user}", f"    group {group}"]
    return lines


def _connections(listeners: int) -> int:
    """Return how many clients each listener serves at once."""
    # Each takes four descriptors, two a hop, and checks and listeners need some.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 4096 if hard == resource.RLIM_INFINITY else max(64, min(4096, hard // (5 * max(1, listeners))))


def _defaults_lines(load_balancer: LoadBalancer) -> list[str]:
    idle = int(load_balancer.idle_timeout)
    return [
        "defaults",
        "    mode http",
        "    log global",
        "    option httplog",
        "    option dontlog-normal",
        f"    timeout connect {CONNECT_TIMEOUT}s",
        f"    timeout client {idle}s",
        f"    timeout server {idle}s",
        f"    timeout tunnel {idle}s",
        f"    timeout http-request {idle}s",
        f"    timeout http-keep-alive {idle}s",
        # Only what no target has begun goes to another one: a connect that failed.
        "    retries 3",
        "    option redispatch 1",
        "    retry-on conn-failure",
        # A replaced process answers what idle clients still send it, and only then closes.
        "    option idle-close-on-response",
        "    load-server-state-from-file global",
        *[f"    errorfile {status} {status}.http" for status in _ERRORS],
    ]


def _port_lines(load_balancer: LoadBalancer, listener: Listener, files: dict[str, bytes]) -> list[str]:
    """Return the first hop of a listener: it keeps clients' connections, and gives each request one of its own.

    HAProxy drops any request but a connection's first without an answer when the target closes, and says of every
    one over HTTP/2 that it was not processed (``REFUSED_STREAM``): the client repeats what a target may have done.
    The second hop sees first requests only, and answers 502. Decision 0020.
    """
    port = int(listener.port)
    bind = f"    bind {ipaddress.ip_address(load_balancer.address)}:{port}"
    if listener.protocol == "HTTPS":
        bind += " ssl alpn h2,http/1.1"
        for number, pem in enumerate((listener.certificate_pem, *listener.more_certificates)):
            name = f"certificate-{port}-{number}.pem"
            files[name] = pem.encode()
            bind += f" crt {name}"
    elif listener.protocol != "HTTP":
        raise HomeportError(f"listener protocol {listener.protocol!r} is neither HTTP nor HTTPS")
    return [
        f"frontend {FIRST_HOP}{port}",
        bind,
        f"    maxconn {_connections(len(load_balancer.listeners))}",
        # The second hop has logged what it answered.
        "    http-response set-log-level silent",
        f"    default_backend {BETWEEN_HOPS}{port}",
        "",
        f"backend {BETWEEN_HOPS}{port}",
        "    http-reuse never",
        "    option http-server-close",
        # The second hop's own timeouts come first: its answers say what happened.
        f"    timeout server {int(load_balancer.idle_timeout) + 5}s",
        f"    timeout tunnel {int(load_balancer.idle_timeout) + 5}s",
        f"    server rules {_socket(load_balancer, port)} send-proxy-v2",
    ]


def _socket(load_balancer: LoadBalancer, port: int) -> str:
    """Return the abstract socket between a listener's hops; a region's addresses are its own on this host."""
    return f"abns@homeport-{ipaddress.ip_address(load_balancer.address)}-{port}"


def _rules_lines(
    load_balancer: LoadBalancer, listener: Listener, backends: dict[str, str], files: dict[str, bytes], clock: Clock
) -> list[str]:
    """Return the second hop of a listener: its rules, and the way to the target groups."""
    port = int(listener.port)
    new_trace = "Root=1-%[date,hex,bytes(8,8),lower]-%[uuid(),regsub(-,,g),bytes(0,24)]"
    group = "{ var(txn.group) -m found }"
    none, none_open = "{ var(txn.group),nbsrv eq 0 }", "{ str(open-),concat(,txn.group),nbsrv eq 0 }"
    lines = rule_lines(listener, backends, files, lambda seconds: _max_age(seconds, clock))
    return [
        f"frontend {SECOND_HOP}{port}",
        f"    bind {_socket(load_balancer, port)} accept-proxy",
        "    option forwardfor",
        f"    http-request set-header X-Forwarded-Proto {listener.protocol.lower()}",
        f"    http-request set-header X-Forwarded-Port {port}",
        "    http-request set-var(txn.trace) req.hdr(x-amzn-trace-id)",
        "    http-request set-header X-Amzn-Trace-Id "
        + quoted(new_trace.replace("Root", "Self") + ";%[var(txn.trace)]")
        + " if { var(txn.trace) -m found }",
        f"    http-request set-header X-Amzn-Trace-Id {quoted(new_trace)} unless {{ var(txn.trace) -m found }}",
        *[f"    {line}" for line in lines],
        # A process that is being replaced counts no server as usable, though it still has them: what it took
        # just before goes by what was known then.
        f"    http-request return status 503 default-errorfiles if !{{ stopping }} {group} {none} {none_open}",
        f"    use_backend open-%[var(txn.group)] if !{{ stopping }} {group} {none}",
        "    use_backend %[var(txn.group)]",
    ]


def _backend_lines(name: str, group: TargetGroup, clock: Clock) -> list[str]:
    lines = [
        f"backend {name}",
        f"    balance {_BALANCE.get(group.algorithm, 'roundrobin')}",
        # The second hop's sessions have one request: without this each would bring a connection to a target.
        "    http-reuse always",
        # HAProxy says 503 when no target took the connection, AWS 502; a group without any target never
        # gets here.
        "    errorfile 503 502.http",
    ]
    if group.stickiness_type == "lb_cookie":
        lines += _sticky_lines("AWSALB", group, clock, "")
    if group.stickiness_type == "app_cookie":
        own = token(group.stickiness_cookie, "application cookie name")
        lines += _sticky_lines("AWSALBAPP-0", group, clock, f" if {{ res.cook({own}) -m found }}")
    return lines


def _sticky_lines(cookie: str, group: TargetGroup, clock: Clock, condition: str) -> list[str]:
    """Return the stickiness rules: HAProxy's own ``cookie`` is refused for servers added at run time.

    A name that no server bears, or that of a server that is down or draining, is passed over.
    """
    value = f"{cookie}=%[srv_name]; Max-Age={_max_age(group.stickiness_seconds, clock)}; Path=/"
    return [
        f"    use-server %[req.cook({cookie})] if {{ req.cook({cookie}) -m found }}",
        f"    http-response add-header Set-Cookie {quoted(value)}{condition}",
    ]


def _max_age(seconds: int, clock: Clock) -> int:
    return max(1, round(clock.real(seconds)))


def _check_lines(load_balancer: LoadBalancer, group: TargetGroup) -> list[str]:
    check = group.health_check
    if not _MATCHER.fullmatch(check.matcher):
        raise HomeportError(
            f"matcher {check.matcher!r} of {group.name} is no list of status codes, such as 200,204-299"
        )
    uri = url_text(check.path)
    if not uri.startswith("/"):
        raise HomeportError(f"health check path {check.path!r} of {group.name} does not begin with a slash")
    agent = "hdr User-Agent ELB-HealthChecker/2.0"
    return [
        # Of the answer; the connection itself gets the interval when that is shorter.
        f"    timeout check {milliseconds(check.timeout, Clock())}",
        "    option httpchk",
        f"    http-check send meth GET uri {quoted(uri)} ver HTTP/1.1 hdr Host {load_balancer.address} {agent}",
        f"    http-check expect status {check.matcher}",
    ]


def _error_response(reason: str) -> bytes:
    body = (
        f"<html>\r\n<head><title>{reason}</title></head>\r\n<body>\r\n"
        f"<center><h1>{reason}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    head = f"HTTP/1.1 {reason}\r\nServer: {SERVER}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()
