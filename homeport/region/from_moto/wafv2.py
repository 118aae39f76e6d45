"""What the region takes from moto's wafv2."""

from moto.wafv2.responses import WAFV2Response

__all__ = [
    "WAFV2Response",
]
