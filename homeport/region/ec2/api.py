"""EC2's API where moto's answer is not enough: instances have machines, templates keep what they were given."""

import base64
import copy
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from moto.core.responses import ActionResult, EmptyResult
from moto.core.serialize import never_return
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, OperationNotPermitted4
from moto.ec2.models.instances import Instance
from moto.ec2.models.key_pairs import KeyPair
from moto.ec2.responses import EC2Response
from moto.ec2.utils import parse_user_data

from homeport.region.api.errors import Refusal
from homeport.region.ec2 import default_vpc
from homeport.region.ec2.gateways import GatewaysResponse
from homeport.region.ec2.image import find_image, merged
from homeport.region.ec2.image_jobs import ImageJobs
from homeport.region.ec2.images_api import ImagesResponse
from homeport.region.ec2.interfaces import InterfacesResponse, refuse_attached
from homeport.region.ec2.machines import STATES, Machines
from homeport.region.ec2.networks import NetworksResponse
from homeport.region.ec2.security_groups import SecurityGroupsResponse
from homeport.region.ec2.storage import StorageResponse

_ATTRIBUTES = {
    "EnaSupport": "ena_support",
    "SriovNetSupport": "sriov_net_support",
    "InstanceInitiatedShutdownBehavior": "instance_initiated_shutdown_behavior",
}
"""Attributes of an instance that moto keeps and cannot change."""

_METADATA_OPTIONS = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "HttpEndpoint": "http_endpoint",
    "HttpProtocolIpv6": "http_protocol_ipv6",
    "InstanceMetadataTags": "instance_metadata_tags",
}

_FROM_TEMPLATE = ("IamInstanceProfile", "Monitoring", "NetworkInterfaces", "Placement")
"""What moto leaves out of a launch template."""
_VERSION_TWO = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
"""What an image that was registered for version 2 of the metadata service asks for."""

_TRANSFORMERS: dict[str, Any] = {
    **EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER,
    "Instance.PublicDnsName": never_return,
    "Association.PublicDnsName": never_return,
}
"""Without names under Amazon's domain: they lead to a stranger or nowhere. An instance has its address."""

ENDED = "shutting-down terminated"

USER_DATA_BYTES = 16384
"""EC2's limit, counted before base64."""


def ec2_response(machines: Machines) -> type[EC2Response]:
    """Return the response class whose instances are ``machines``."""

    class HomeportEC2Response(
        ImagesResponse, NetworksResponse, SecurityGroupsResponse, InterfacesResponse, GatewaysResponse, StorageResponse
    ):
        jobs = ImageJobs(machines)
        RESPONSE_KEY_PATH_TO_TRANSFORMER = _TRANSFORMERS

        def run_instances(self) -> ActionResult:
            earlier = _reservation_of(self.ec2_backend, self._get_param("ClientToken"))
            if earlier:
                return ActionResult(earlier)
            template = self._template_data()
            image = find_image(self.ec2_backend, self._get_param("ImageId") or template.get("ImageId"))
            if image.state != "available":
                raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{image.id}]' is {image.state}")
            key = self._key(self._get_param("KeyName") or template.get("KeyName"))
            _check_user_data(self._get_param("UserData") or template.get("UserData"))
            self.params["BlockDeviceMappings"] = merged(
                image.block_device_mappings,
                template.get("BlockDeviceMappings", []),
                self._get_param("BlockDeviceMappings", []),
            )
            for name in _FROM_TEMPLATE:
                if name in template and not (name == "NetworkInterfaces" and self._get_param("SubnetId")):
                    self.params.setdefault(name, template[name])
            self.params["MetadataOptions"] = (
                (_VERSION_TWO if image.imds_support == "v2.0" else {})
                | template.get("MetadataOptions", {})
                | self._get_param("MetadataOptions", {})
            )
            default_vpc.fill_in(self.ec2_backend, self.params, template)
            interfaces = self._get_param("NetworkInterfaces", [])
            existing = {nic["NetworkInterfaceId"] for nic in interfaces if nic.get("NetworkInterfaceId")}
            refuse_attached(self.ec2_backend, existing)
            result = super().run_instances()
            reservation: Any = result.result
            for instance in reservation.instances:
                for nic in instance.nics.values():
                    # moto keeps the interfaces it makes for an instance for ever.
                    nic.delete_on_termination = nic.delete_on_termination or nic.id not in existing
                    if nic.public_ip:
                        # moto would make one up, and it would be a stranger's. This one answers.
                        nic.public_ip = nic.private_ip_address
                # The instance keeps its key when the pair is deleted.
                instance.public_key = _public_key(key)
                instance.ena_support = True
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

        def import_key_pair(self) -> ActionResult:
            """Take a public key; what is none is the caller's mistake, which moto does not always see."""
            try:
                load_ssh_public_key(self._get_param("PublicKeyMaterial"))
            except (ValueError, UnsupportedAlgorithm) as error:
                raise EC2ClientError("InvalidKey.Format", "Key is not in valid OpenSSH public key format") from error
            return super().import_key_pair()

        def modify_instance_metadata_options(self) -> ActionResult:
            """Change what the request names, and leave the rest as it is: moto would reset it."""
            instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
            given = {name: self._get_param(name) for name in _METADATA_OPTIONS}
            for name, value in given.items():
                if value is not None:
                    setattr(instance.metadata_options, _METADATA_OPTIONS[name], value)
            options = copy.copy(instance.metadata_options)
            options.state = "pending"
            return ActionResult({"InstanceId": instance.id, "InstanceMetadataOptions": options})

        def modify_instance_attribute(self) -> ActionResult:
            """Change an instance; what moto does not know of it would take for a change of its security groups."""
            instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
            given = {name: self._get_param(f"{name}.Value") for name in _ATTRIBUTES}
            given = {name: value for name, value in given.items() if value is not None}
            if self._get_param("UserData.Value"):
                _check_user_data(self._get_param("UserData.Value"))
            if not given:
                return super().modify_instance_attribute()
            self.error_on_dryrun()
            for name, value in given.items():
                setattr(instance, _ATTRIBUTES[name], value)
            return EmptyResult()

        def describe_instance_attribute(self) -> ActionResult:
            if self._get_param("Attribute") == "enaSupport":
                instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
                return ActionResult({"InstanceId": instance.id, "EnaSupport": {"Value": instance.ena_support}})
            return super().describe_instance_attribute()

        def _template_data(self) -> dict[str, Any]:
            """Return the data of the launch template's version that the request names, if it names one."""
            wanted = self._get_param("LaunchTemplate", {})
            data: dict[str, Any] = self.ec2_backend._get_template_from_args(wanted).data if wanted else {}
            return data

        def _key(self, name: str | None) -> KeyPair | None:
            if not name:
                return None
            if name not in self.ec2_backend.key_pairs:
                raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
            pair: KeyPair = self.ec2_backend.key_pairs[name]
            return pair

        def _instances(self) -> list[Instance]:
            return list(self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", [])))

    return HomeportEC2Response


def _public_key(pair: KeyPair | None) -> str:
    """Return a key as metadata shows it: with the pair's name for a comment, whatever it was imported with."""
    if pair is None:
        return ""
    kind, material = pair.public_key.split()[:2]
    return f"{kind} {material} {pair.key_name}"


def _check_user_data(given: Any) -> None:
    if (
        given
        and len(base64.b64decode(str(parse_user_data(given) if isinstance(given, str) else given))) > USER_DATA_BYTES
    ):
        raise EC2ClientError("InvalidParameterValue", f"User data is limited to {USER_DATA_BYTES} bytes")


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
