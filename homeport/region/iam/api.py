"""IAM's API where moto's answer is not enough: what others need is not deleted."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from homeport.region.api.errors import Refusal
from homeport.region.elbv2.lookup import load_balancers, load_balancers_with
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.iam import DeleteConflictException, IAMBackend, IamResponse, User

_LOAD_BALANCING = "elasticloadbalancing.amazonaws.com"


def iam_response(groups_with_role: Callable[[str], list[str]]) -> type[IamResponse]:
    """Return the response class; ``groups_with_role`` tells which Auto Scaling groups act by a role, by their ARNs."""
    refused_tasks: dict[str, tuple[str, list[str]]] = {}

    class HomeportIamResponse(IamResponse):
        def delete_policy(self) -> ActionResult:
            """Delete a policy that nothing has, and of which no version but the default one is left."""
            policy = self.backend.get_policy(self._get_param("PolicyArn"))
            if any(_attached(self.backend, policy.arn)):
                raise DeleteConflictException("Cannot delete a policy attached to entities.")
            if len(policy.versions) > 1:
                raise DeleteConflictException(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                    "versions. The default version is deleted with the policy."
                )
            return super().delete_policy()

        def delete_group(self) -> ActionResult:
            """Delete a group without users and policies."""
            group = self.backend.get_group(self._get_param("GroupName"))
            _need("remove users from group", group.users)
            _need("detach all policies", group.managed_policies)
            _need("delete policies", group.policies)
            return super().delete_group()

        def delete_user(self) -> ActionResult:
            """Delete a user without groups, policies and means to log in."""
            user: User = self.backend.get_user(self._get_param("UserName"))
            _need("remove users from group", self.backend.get_groups_for_user(user.name))
            _need("delete login profile", [user.password] if user.password else [])
            _need("delete access keys", user.access_keys)
            _need("delete MFA device", user.mfa_devices)
            _need("delete signing certificates", user.signing_certificates)
            _need("delete SSH public keys", user.ssh_public_keys)
            return super().delete_user()

        def list_service_specific_credentials(self) -> ActionResult:
            """Return none: nobody can have made one. Terraform asks before it deletes a user with all that it has."""
            return ActionResult({"ServiceSpecificCredentials": []})

        def delete_virtual_mfa_device(self) -> ActionResult:
            """Delete a device that no user has."""
            serial = self._get_param("SerialNumber")
            if any(serial in user.mfa_devices for user in self.backend.users.values()):
                raise DeleteConflictException("MFA VirtualDevice in use. Must deactivate first.")
            return super().delete_virtual_mfa_device()

        def delete_server_certificate(self) -> ActionResult:
            """Delete a certificate that no listener has."""
            certificate = self.backend.get_server_certificate(self._get_param("ServerCertificateName"))
            if users := load_balancers_with(self.current_account, certificate.arn):
                raise DeleteConflictException(
                    f"Certificate: {certificate.cert_name} is currently in use by {', '.join(users)}. "
                    "Please remove it first before deleting it from IAM."
                )
            return super().delete_server_certificate()

        def delete_role(self) -> ActionResult:
            """Delete a role that is no service's own."""
            role = self.backend.get_role(self._get_param("RoleName"))
            if role._linked_service:
                raise Refusal(
                    "UnmodifiableEntity",
                    f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable "
                    f"by AWS: DeleteServiceLinkedRole deletes it.",
                )
            return super().delete_role()

        def delete_service_linked_role(self) -> ActionResult:
            """Delete a service's own role; as in IAM, it is the task's status that tells of its use."""
            role = self.backend.get_role(self._get_param("RoleName"))
            users = groups_with_role(role.arn)
            if role._linked_service == _LOAD_BALANCING:
                users = [balancer.arn for balancer in load_balancers(self.current_account)]
            if not users:
                return super().delete_service_linked_role()
            task = f"task{role.path}{role.name}/{uuid.uuid4()}"
            refused_tasks[task] = (role.name, users)
            return ActionResult({"DeletionTaskId": task})

        def get_service_linked_role_deletion_status(self) -> ActionResult:
            """Tell whether a service's own role was deleted."""
            refused = refused_tasks.get(self._get_param("DeletionTaskId"))
            if refused is None:
                return super().get_service_linked_role_deletion_status()
            name, users = refused
            reason: dict[str, Any] = {
                "Reason": f"The role {name} cannot be deleted: resources of its service use it.",
                "RoleUsageList": [{"Region": users[0].split(":")[3], "Resources": users}],
            }
            return ActionResult({"Status": "FAILED", "Reason": reason})

    return HomeportIamResponse


def _attached(iam: IAMBackend, policy: str) -> Iterator[bool]:
    """Tell of each role, user and group whether it has a policy, as a permissions boundary too."""
    entities: list[Any] = [*iam.roles.values(), *iam.users.values(), *iam.groups.values()]
    for one in entities:
        yield policy in one.managed_policies or getattr(one, "permissions_boundary_arn", None) == policy


def _need(step: str, left: Iterable[Any]) -> None:
    """Raise IAM's error when there is something left that has to go first."""
    if any(True for _ in left):
        raise DeleteConflictException(f"Cannot delete entity, must {step} first.")
