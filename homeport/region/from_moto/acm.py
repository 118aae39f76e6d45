"""What the region takes from moto's acm."""

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.acm.responses import AWSCertificateManagerResponse

__all__ = [
    "AWSCertificateManagerResponse",
    "CertificateNotFound",
    "acm_backends",
]
