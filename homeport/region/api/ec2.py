"""EC2's API where moto's answer is not enough: instances have machines, templates keep what they were given."""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import OperationNotPermitted4
from moto.ec2.models.instances import Instance, InstanceState
from moto.ec2.responses import EC2Response
from moto.ec2.utils import parse_user_data

from homeport.region.machines import STATES, Machines


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
            return _transition("TerminatingInstances", instances, machines.terminate)

        def stop_instances(self) -> ActionResult:
            self.error_on_dryrun()
            return _transition("StoppingInstances", self._instances(), machines.stop)

        def start_instances(self) -> ActionResult:
            self.error_on_dryrun()
            return _transition("StartingInstances", self._instances(), machines.launch)

        def reboot_instances(self) -> ActionResult:
            result = super().reboot_instances()
            for instance in self._instances():
                machines.reboot(instance)
            return result

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
            """Keep user-data as a first version does: moto cannot launch from it otherwise."""
            data = self._get_param("LaunchTemplateData", {})
            if data.get("UserData"):
                data["UserData"] = parse_user_data(data["UserData"])
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


def _transition(answer: str, instances: list[Instance], begin: Any) -> ActionResult:
    changes = []
    for instance in instances:
        before = instance.state
        if before != "terminated":
            begin(instance)
        changes.append(
            {
                "InstanceId": instance.id,
                "CurrentState": {"Code": STATES[instance.state], "Name": instance.state},
                "PreviousState": InstanceState(before, STATES[before]),
            }
        )
    return ActionResult({answer: changes})
