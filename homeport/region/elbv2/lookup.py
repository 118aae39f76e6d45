"""Which load balancers there are, and what they use of other services; read with moto's lock held."""

from collections.abc import Iterator

from homeport.region.from_moto.elbv2 import ELBv2Backend, FakeLoadBalancer, elbv2_backends


def load_balancers(account: str) -> Iterator[FakeLoadBalancer]:
    """Return an account's load balancers in all regions."""
    for owner, _, backend in elbv2_backends.iter_backends():
        if owner == account and isinstance(backend, ELBv2Backend):
            yield from backend.load_balancers.values()


def load_balancers_with(account: str, certificate: str) -> list[str]:
    """Return the ARNs of the load balancers of which a listener has a certificate, be it ACM's or IAM's."""
    return [
        balancer.arn
        for balancer in load_balancers(account)
        if any(certificate in listener.certificates for listener in balancer.listeners.values())
    ]
