"""What the region takes from moto's rds."""

from moto.rds.responses import RDSResponse

__all__ = [
    "RDSResponse",
]
