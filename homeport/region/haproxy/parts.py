"""What still works of a load balancer of which a part does not."""

from collections.abc import Callable
from dataclasses import replace

from homeport.errors import HomeportError
from homeport.region.haproxy.model import Forward, Listener, LoadBalancer, TargetGroup

Fault = Callable[[LoadBalancer], HomeportError | None]
"""Returns why a load balancer cannot be had, nothing when it can."""


def sound(wanted: LoadBalancer, before: LoadBalancer | None, fault: Fault) -> tuple[LoadBalancer, list[HomeportError]]:
    """Return ``wanted`` with each faulty listener and target group as it was ``before``, or without it; and the faults.

    Each part is tried by itself. A target group that stays as it was has the targets that it shall have now.
    """
    faults: list[HomeportError] = []
    groups: dict[str, TargetGroup] = {}
    known = {one.arn: one for one in before.target_groups} if before else {}
    for group in wanted.target_groups:
        if (error := fault(replace(wanted, listeners=(), target_groups=(group,)))) is None:
            groups[group.arn] = group
            continue
        faults.append(_named(f"target group {group.name}", error))
        if group.arn in known:
            groups[group.arn] = replace(known[group.arn], targets=group.targets)
    listeners: dict[str, Listener] = {}
    faulty: list[str] = []
    for listener in wanted.listeners:
        if (error := fault(replace(wanted, listeners=(listener,), target_groups=()))) is None:
            listeners[listener.arn] = listener
            continue
        faults.append(_named(f"listener on port {listener.port}", error))
        faulty.append(listener.arn)
    for listener in before.listeners if before else ():
        if listener.arn in faulty and listener.port not in {one.port for one in listeners.values()}:
            listeners[listener.arn] = listener
            for arn in _forwarded(listener) & known.keys() - groups.keys():
                groups[arn] = known[arn]
    return replace(wanted, listeners=tuple(listeners.values()), target_groups=tuple(groups.values())), faults


def together(name: str, faults: list[HomeportError]) -> HomeportError:
    """Return one error that tells all the faults of a load balancer."""
    return HomeportError(
        f"load balancer {name} works without its latest changes of " + "; ".join(one.message for one in faults),
        log="\n".join(one.log for one in faults if one.log),
        next_step=faults[0].next_step,
    )


def _named(part: str, error: HomeportError) -> HomeportError:
    return HomeportError(f"{part}: {error.message}", log=error.log, next_step=error.next_step)


def _forwarded(listener: Listener) -> set[str]:
    return {arn for rule in listener.rules if isinstance(rule.action, Forward) for arn, _ in rule.action.target_groups}
