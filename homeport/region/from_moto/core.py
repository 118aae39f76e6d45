"""What the region takes from moto's core."""

from moto.backends import get_backend
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.core.serialize import never_return
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow

__all__ = [
    "ActionResult",
    "Base64EncodedString",
    "BaseResponse",
    "EmptyResult",
    "get_backend",
    "never_return",
    "utcnow",
]
