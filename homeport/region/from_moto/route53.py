"""What the region takes from moto's route53."""

from moto.route53.exceptions import HostedZoneNotEmpty
from moto.route53.responses import Route53

__all__ = [
    "HostedZoneNotEmpty",
    "Route53",
]
