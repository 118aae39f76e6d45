"""Reads load balancers out of moto, as the plain data that is made real. Call with moto's lock held."""

import contextlib
from typing import Any

from homeport.region.elbv2.registry import Registration, Registry
from homeport.region.from_moto.acm import CertificateNotFound, acm_backends
from homeport.region.from_moto.elbv2 import (
    ELBv2Backend,
    FakeListener,
    FakeLoadBalancer,
    FakeTargetGroup,
    elbv2_backends,
)
from homeport.region.from_moto.iam import iam_backends
from homeport.region.haproxy.model import (
    Action,
    Condition,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    LoadBalancer,
    Redirect,
    Rule,
    Target,
    TargetGroup,
)

DEFAULT_PRIORITY = 100_000
"""After every rule that has one (1 to 50000)."""


def load_balancers(registry: Registry) -> list[LoadBalancer]:
    """Return all load balancers of all accounts and regions."""
    return [
        load_balancer(backend, one, registry)
        for _, _, backend in elbv2_backends.iter_backends()
        if isinstance(backend, ELBv2Backend)
        for one in backend.load_balancers.values()
        if one.arn in registry.addresses
    ]


def load_balancer(backend: ELBv2Backend, one: FakeLoadBalancer, registry: Registry) -> LoadBalancer:
    """Return one load balancer with the target groups that its listeners use."""
    zones = {subnet.availability_zone for subnet in one.subnets}
    used = target_groups_of(one)
    return LoadBalancer(
        arn=one.arn,
        name=one.name,
        address=registry.addresses[one.arn],
        listeners=tuple(listener(backend, each) for each in one.listeners.values()),
        target_groups=tuple(
            target_group(backend.target_groups[arn], registry, zones)
            for arn in sorted(used)
            if arn in backend.target_groups
        ),
        idle_timeout=int(one.attrs.get("idle_timeout.timeout_seconds", 60)),
    )


def target_groups_of(one: FakeLoadBalancer) -> set[str]:
    """Return the ARNs of the target groups that a load balancer's rules forward to."""
    return {
        arn
        for each in one.listeners.values()
        for rule in each.rules.values()
        for wanted in rule.actions
        if wanted.type == "forward"
        for arn, _ in forward(wanted.data).target_groups
    }


def listener(backend: ELBv2Backend, one: FakeListener) -> Listener:
    """Return a listener with its rules and certificates."""
    first, *more = [_pem(backend, arn) for arn in one.certificates] or [""]
    return Listener(
        arn=one.arn,
        port=int(one.port),
        protocol=one.protocol,
        rules=tuple(
            Rule(
                arn=rule.arn,
                priority=DEFAULT_PRIORITY if rule.is_default else int(rule.priority),
                conditions=tuple(condition(each) for each in rule.conditions),
                action=action([each.data for each in rule.actions]),
            )
            for rule in one.rules.values()
        ),
        certificate_pem=first,
        more_certificates=tuple(more),
    )


def condition(data: dict[str, Any]) -> Condition:
    """Return a rule's condition; the API takes the values in two places."""
    field = data["Field"]
    match field:
        case "http-header":
            config = data["HttpHeaderConfig"]
            return Condition(field, tuple(config["Values"]), header=config["HttpHeaderName"])
        case "query-string":
            pairs = data["QueryStringConfig"]["Values"]
            return Condition(field, (), query=tuple((pair.get("Key", ""), pair["Value"]) for pair in pairs))
    name = "".join(word.title() for word in field.split("-")) + "Config"
    return Condition(field, tuple(data.get(name, {}).get("Values", []) or data.get("Values", [])))


def action(actions: list[dict[str, Any]]) -> Action:
    """Return what is done with a request; only the last action routes it."""
    data = max(actions, key=lambda one: int(one.get("Order", 0)))
    match data["Type"]:
        case "redirect":
            config = data["RedirectConfig"]
            return Redirect(
                status=int(config["StatusCode"].removeprefix("HTTP_")),
                **{key.lower(): config[key] for key in ("Protocol", "Host", "Port", "Path", "Query") if key in config},
            )
        case "fixed-response":
            config = data["FixedResponseConfig"]
            return FixedResponse(
                int(config["StatusCode"]), config.get("ContentType") or "text/plain", config.get("MessageBody") or ""
            )
    return forward(data)


def forward(data: dict[str, Any]) -> Forward:
    """Return a forward action; a single target group may be given in the short form."""
    config = data.get("ForwardConfig", {})
    groups = tuple((one["TargetGroupArn"], int(one.get("Weight", 1))) for one in config.get("TargetGroups", []))
    sticky = config.get("TargetGroupStickinessConfig", {})
    seconds = int(sticky.get("DurationSeconds", 3600)) if sticky.get("Enabled") else 0
    return Forward(groups or ((data["TargetGroupArn"], 1),), seconds)


def target_group(one: FakeTargetGroup, registry: Registry, zones: set[str]) -> TargetGroup:
    """Return a target group with the targets that may get requests: running, and in one of the zones."""
    attributes = {key: str(value) for key, value in one.attributes.items()}
    sticky = attributes.get("stickiness.enabled", "false").lower() == "true"
    kind = attributes.get("stickiness.type", "lb_cookie") if sticky else ""
    return TargetGroup(
        arn=one.arn,
        name=one.name,
        protocol=str(one.protocol),
        port=int(one.port or 0),
        health_check=HealthCheck(
            protocol=str(one.health_check_protocol),
            port=str(one.health_check_port),
            path=one.health_check_path or "/",
            matcher=one.matcher["HttpCode"],
            interval=int(one.health_check_interval_seconds),
            timeout=int(one.health_check_timeout_seconds),
            healthy_threshold=int(one.healthy_threshold_count),
            unhealthy_threshold=int(one.unhealthy_threshold_count),
        ),
        targets=tuple(
            found
            for registration in registry.current(one.arn)
            if (found := _target(one, registration, zones)) is not None
        ),
        algorithm=attributes.get("load_balancing.algorithm.type", "round_robin"),
        stickiness_type=kind,
        stickiness_seconds=int(attributes.get(f"stickiness.{kind}.duration_seconds", 86400)),
        stickiness_cookie=attributes.get("stickiness.app_cookie.cookie_name", ""),
        slow_start_seconds=int(attributes.get("slow_start.duration_seconds", 0)),
    )


def _target(group: FakeTargetGroup, registration: Registration, zones: set[str]) -> Target | None:
    draining = registration.draining_until is not None
    address, zone = registration.target_id, registration.zone
    if group.target_type == "instance":
        instance = group.ec2_backend.get_instance_by_id(registration.target_id)
        if instance is None or instance.state in ("stopped", "terminated"):
            return None
        # What shuts down finishes what it has begun; cutting its connections would spoil that.
        draining = draining or instance.state in ("stopping", "shutting-down")
        address, zone = str(instance.private_ip_address), str(instance.availability_zone)
        if zone not in zones:
            return None
    return Target(registration.target_id, address, registration.port, zone, draining)


def _pem(backend: ELBv2Backend, arn: str) -> str:
    """Return certificate, chain and key in one text, as HAProxy reads them; empty when there is none (any more)."""
    with contextlib.suppress(CertificateNotFound):
        bundle = acm_backends[backend.account_id][backend.region_name].get_certificate(arn)
        return b"\n".join((bundle.cert, bundle.chain or b"", bundle.key)).decode()
    server = iam_backends[backend.account_id][backend.partition].get_certificate_by_arn(arn)
    if server is None:
        return ""
    return "\n".join((server.cert_body, server.cert_chain or "", server.private_key)) + "\n"
