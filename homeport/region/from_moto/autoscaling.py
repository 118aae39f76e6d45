"""What the region takes from moto's autoscaling."""

from moto.autoscaling.exceptions import AutoscalingClientError

__all__ = [
    "AutoscalingClientError",
]
