"""What a balancer must do, as plain data: read from the API's load balancers, listeners, rules and groups."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class HealthCheck:
    """A target group's check; periods in seconds as AWS counts them (the clock scales the interval)."""

    protocol: str = "HTTP"
    port: str = "traffic-port"
    path: str = "/"
    matcher: str = "200"
    interval: int = 30
    timeout: int = 5
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2


@dataclass(frozen=True)
class Target:
    """One registered target; ``draining`` from its deregistration until the delay has passed."""

    target_id: str
    address: str
    port: int
    zone: str
    draining: bool = False


@dataclass(frozen=True)
class TargetGroup:
    """A target group with its registered and draining targets."""

    arn: str
    name: str
    protocol: str
    port: int
    health_check: HealthCheck
    targets: tuple[Target, ...] = ()
    algorithm: str = "round_robin"
    stickiness_type: str = ""
    """``lb_cookie``, ``app_cookie`` or empty for none."""
    stickiness_seconds: int = 86400
    stickiness_cookie: str = ""
    slow_start_seconds: int = 0


@dataclass(frozen=True)
class Condition:
    """One condition of a rule; a request meets it when any of the values matches."""

    field: str
    """``path-pattern``, ``host-header``, ``http-header``, ``http-request-method``, ``query-string``, ``source-ip``."""
    values: tuple[str, ...]
    header: str = ""
    """The header's name, for ``http-header``."""
    query: tuple[tuple[str, str], ...] = ()
    """Key (may be empty) and value pairs, for ``query-string``."""


@dataclass(frozen=True)
class Forward:
    """Send the request to one of the target groups, by weight."""

    target_groups: tuple[tuple[str, int], ...]
    """ARN and weight (0 to 999) of each."""
    stickiness_seconds: int = 0
    """How long a client stays with the target group it was sent to; 0 for every request by weight."""


@dataclass(frozen=True)
class Redirect:
    """Answer with a redirect; parts may hold ``#{protocol}``, ``#{host}``, ``#{port}``, ``#{path}``, ``#{query}``."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"
    """Without the question mark; empty for none."""


@dataclass(frozen=True)
class FixedResponse:
    """Answer with this and ask no target."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


Action = Forward | Redirect | FixedResponse


@dataclass(frozen=True)
class Rule:
    """All conditions must hold; the listener's default rule has none and comes last."""

    arn: str
    priority: int
    conditions: tuple[Condition, ...]
    action: Action


@dataclass(frozen=True)
class Listener:
    """A bound port; ``certificate_pem`` (chain and key) for HTTPS."""

    arn: str
    port: int
    protocol: str
    rules: tuple[Rule, ...]
    certificate_pem: str = field(default="", repr=False)
    more_certificates: tuple[str, ...] = field(default=(), repr=False)
    """Those that are chosen by the name the client asks for (SNI)."""


@dataclass(frozen=True)
class LoadBalancer:
    """One load balancer with an address of its own."""

    arn: str
    name: str
    address: str
    listeners: tuple[Listener, ...]
    target_groups: tuple[TargetGroup, ...]
    idle_timeout: int = 60


@dataclass(frozen=True)
class TargetHealth:
    """What ``DescribeTargetHealth`` says of one target, with AWS's reason codes."""

    state: str
    reason: str = ""
    description: str = ""
