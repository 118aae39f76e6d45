"""What the region takes from moto's iam."""

from moto.iam.exceptions import DeleteConflictException, NotFoundException
from moto.iam.models import IAMBackend, User, iam_backends
from moto.iam.responses import IamResponse

__all__ = [
    "DeleteConflictException",
    "IAMBackend",
    "IamResponse",
    "NotFoundException",
    "User",
    "iam_backends",
]
