"""ACM's API where moto's answer is not enough: a certificate knows which load balancers use it."""

from homeport.region.api.errors import Refusal
from homeport.region.elbv2.lookup import load_balancers_with
from homeport.region.from_moto import private
from homeport.region.from_moto.acm import AWSCertificateManagerResponse
from homeport.region.from_moto.core import ActionResult


class HomeportACMResponse(AWSCertificateManagerResponse):
    """Certificates that are in use stay, as in ACM; moto only ever adds users, and deletes all the same."""

    def delete_certificate(self) -> ActionResult:
        """Delete a certificate that no listener has."""
        arn = self._get_param("CertificateArn")
        if users := load_balancers_with(self.current_account, arn):
            raise Refusal(
                "ResourceInUseException",
                f"Certificate {arn} in account {self.current_account} is in use by {', '.join(users)}.",
            )
        return super().delete_certificate()

    def describe_certificate(self) -> ActionResult:
        """Describe a certificate."""
        self._note_use()
        return super().describe_certificate()

    def list_certificates(self) -> ActionResult:
        """List certificates."""
        self._note_use()
        return super().list_certificates()

    def _note_use(self) -> None:
        for bundle in private.certificates(self.acm_backend):
            bundle.in_use_by = load_balancers_with(self.current_account, bundle.arn)
