"""EC2's API where moto's answer is not enough: instances have machines, templates keep what they were given."""

import base64
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, OperationNotPermitted4
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response
from moto.ec2.utils import parse_user_data

from homeport.region.api.refusals import Refusal
from homeport.region.machines import STATES, Machines

ENDED = "shutting-down terminated"


def ec2_response(machines: Machines) -> type[EC2Response]:
    """Return the response class whose instances are ``machines``."""

    class HomeportEC2Response(EC2Response):
        def run_instances(self) -> ActionResult:
            earlier = _reservation_of(self.ec2_backend, self._get_param("ClientToken"))
            if earlier:
                return ActionResult(earlier)
            result = super().run_instances()
            existing = {nic.get("NetworkInterfaceId") for nic in self._get_param("NetworkInterfaces", [])}
            reservation: Any = result.result
            for instance in reservation.instances:
                for nic in instance.nics.values():
                    # moto keeps the interfaces it makes for an instance for ever.
                    nic.delete_on_termination = nic.delete_on_termination or nic.id not in existing
                machines.launch(instance)
            return result

        def terminate_instances(self) -> ActionResult:
            self.error_on_dryrun()
            instances = self._instances()
            for instance in instances:
                if instance.disable_api_termination:
                    raise OperationNotPermitted4(instance.id)
            return _transition(
                "TerminatingInstances", instances, machines.terminate, "pending running stopping stopped", ENDED
            )

        def stop_instances(self) -> ActionResult:
            self.error_on_dryrun()
            return _transition(
                "StoppingInstances", self._instances(), machines.stop, "pending running", "stopping stopped"
            )

        def start_instances(self) -> ActionResult:
            self.error_on_dryrun()
            return _transition("StartingInstances", self._instances(), machines.launch, "stopped", "pending running")

        def reboot_instances(self) -> ActionResult:
            self.error_on_dryrun()
            _transition("", self._instances(), machines.reboot, "running", "")
            return EmptyResult()

        def get_console_output(self) -> ActionResult:
            name = self._get_param("InstanceId")
            self.ec2_backend.get_instance(name)
            text = "\n".join(machines.console(name)).encode()
            shown = {"InstanceId": name, "Timestamp": utcnow(), "Output": base64.b64encode(text).decode()}
            return ActionResult(shown)

        def create_fleet(self) -> ActionResult:
            raise Refusal("InvalidAction", "The region has no fleets: launch instances, or an Auto Scaling group.")

        request_spot_fleet = request_spot_instances = create_fleet

        def create_launch_template(self) -> ActionResult:
            """Keep the template as given: moto adds the template's own tags to the tags of what is launched from it."""
            data = dict(self._get_param("LaunchTemplateData", {}))
            data["UserData"] = parse_user_data(data.get("UserData"))
            self.error_on_dryrun()
            template = self.ec2_backend.create_launch_template(
                self._get_param("LaunchTemplateName"),
                self._get_param("VersionDescription"),
                data,
                self._parse_tag_specification(),
            )
            version = template.default_version()
            created: dict[str, Any] = {
                "CreateTime": version.create_time,
                "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
                "DefaultVersionNumber": template.default_version_number,
                "LatestVersionNumber": version.number,
                "LaunchTemplateId": template.id,
                "LaunchTemplateName": template.name,
                "Tags": template.tags,
            }
            return ActionResult({"LaunchTemplate": created})

        def create_launch_template_version(self) -> ActionResult:
            """Begin with the source version, and keep user-data as a first version does: moto does neither."""
            data = self._get_param("LaunchTemplateData", {})
            if data.get("UserData"):
                data["UserData"] = parse_user_data(data["UserData"])
            if source := self._get_param("SourceVersion"):
                name, template_id = self._get_param("LaunchTemplateName"), self._get_param("LaunchTemplateId")
                find = self.ec2_backend.get_launch_template_by_name if name else self.ec2_backend.get_launch_template
                for field, value in find(name or template_id).get_version(source).data.items():
                    data.setdefault(field, value)
            return super().create_launch_template_version()

        def _instances(self) -> list[Instance]:
            return list(self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", [])))

    return HomeportEC2Response


def _reservation_of(backend: Any, client_token: str | None) -> Any:
    """Return what an earlier request with the same client token made: AWS runs such a request once."""
    for reservation in backend.reservations.values() if client_token else ():
        if any(instance.client_token == client_token for instance in reservation.instances):
            return reservation
    return None


def _transition(
    answer: str, instances: list[Instance], begin: Callable[[Instance], None], goes: str, stays: str
) -> ActionResult:
    """Begin a change of state where an instance ``goes``, leave it where it ``stays``, refuse it elsewhere.

    All or none, as in EC2: nothing begins when one instance is in the wrong state.
    """
    for instance in instances:
        if instance.state not in f"{goes} {stays}".split():
            raise InvalidStateError(instance.id, instance.state)
    changes = []
    for instance in instances:
        before = instance.state
        if before in goes.split():
            begin(instance)
        changes.append(
            {
                "InstanceId": instance.id,
                "CurrentState": {"Code": STATES[instance.state], "Name": instance.state},
                "PreviousState": {"Code": STATES[before], "Name": before},
            }
        )
    return ActionResult({answer: changes})


class InvalidStateError(EC2ClientError):
    """EC2's ``IncorrectInstanceState``."""

    def __init__(self, instance_id: str, state: str) -> None:
        super().__init__("IncorrectInstanceState", f"The instance '{instance_id}' is {state}: it cannot do that now.")
