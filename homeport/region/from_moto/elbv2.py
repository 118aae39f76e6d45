"""What the region takes from moto's elbv2."""

from moto.elbv2.exceptions import (
    DuplicateListenerError,
    ELBClientError,
    ListenerNotFoundError,
    LoadBalancerNotFoundError,
    TargetGroupNotFoundError,
)
from moto.elbv2.models import ELBv2Backend, FakeListener, FakeLoadBalancer, FakeRule, FakeTargetGroup, elbv2_backends
from moto.elbv2.responses import ELBV2Response

__all__ = [
    "DuplicateListenerError",
    "ELBClientError",
    "ELBV2Response",
    "ELBv2Backend",
    "FakeListener",
    "FakeLoadBalancer",
    "FakeRule",
    "FakeTargetGroup",
    "ListenerNotFoundError",
    "LoadBalancerNotFoundError",
    "TargetGroupNotFoundError",
    "elbv2_backends",
]
