"""What the region takes from moto's cloudwatch."""

from moto.cloudwatch.responses import CloudWatchResponse

__all__ = [
    "CloudWatchResponse",
]
