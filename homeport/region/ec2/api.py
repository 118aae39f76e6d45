"""EC2's API where moto's answer is not enough: instances have machines, templates keep what they were given."""

import base64
import copy
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from homeport.region.api.errors import Refusal
from homeport.region.ec2 import protection
from homeport.region.ec2.addresses_api import AddressesResponse
from homeport.region.ec2.attributes_api import AttributesResponse
from homeport.region.ec2.gateways import GatewaysResponse
from homeport.region.ec2.image_jobs import ImageJobs
from homeport.region.ec2.images_api import ImagesResponse
from homeport.region.ec2.interfaces import InterfacesResponse
from homeport.region.ec2.launch_api import LaunchResponse
from homeport.region.ec2.launch_templates_api import LaunchTemplatesResponse
from homeport.region.ec2.machines import STATES, Machines
from homeport.region.ec2.networks import NetworksResponse
from homeport.region.ec2.options_api import OptionsResponse
from homeport.region.ec2.security_groups import SecurityGroupsResponse
from homeport.region.ec2.storage import StorageResponse
from homeport.region.from_moto.core import ActionResult, EmptyResult, never_return, utcnow
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response, Instance

_METADATA_OPTIONS = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "HttpEndpoint": "http_endpoint",
    "HttpProtocolIpv6": "http_protocol_ipv6",
    "InstanceMetadataTags": "instance_metadata_tags",
}

_TRANSFORMERS: dict[str, Any] = {
    **EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER,
    "Instance.PublicDnsName": never_return,
    "Association.PublicDnsName": never_return,
}
"""Without names under Amazon's domain: they lead to a stranger or nowhere. An instance has its address."""

ENDED = "shutting-down terminated"


def ec2_response(made: Machines) -> type[EC2Response]:
    """Return the response class whose instances are the machines that are ``made``."""

    def start(instance: Instance) -> None:
        for interface in instance.nics.values():
            if interface.public_ip_auto_assign:
                # It was given up with the stop.
                interface.public_ip = interface.private_ip_address
        made.launch(instance)

    class HomeportEC2Response(
        ImagesResponse,
        LaunchResponse,
        LaunchTemplatesResponse,
        AttributesResponse,
        OptionsResponse,
        NetworksResponse,
        SecurityGroupsResponse,
        AddressesResponse,
        InterfacesResponse,
        GatewaysResponse,
        StorageResponse,
    ):
        jobs = ImageJobs(made)
        machines = made
        RESPONSE_KEY_PATH_TO_TRANSFORMER = _TRANSFORMERS

        def terminate_instances(self) -> ActionResult:
            """Terminate instances; one that is protected keeps those of its zone, and the call fails."""
            self.error_on_dryrun()
            free, refusal = protection.in_free_zones(self._instances())
            begun = _transition("TerminatingInstances", free, made.terminate, "pending running stopping stopped", ENDED)
            if refusal:
                raise refusal
            return begun

        def stop_instances(self) -> ActionResult:
            """Stop instances, all or none of them."""
            self.error_on_dryrun()
            instances = self._instances()
            for instance in instances:
                if self._get_bool_param("Hibernate"):
                    raise EC2ClientError(
                        "UnsupportedHibernationConfiguration", f"The machine of {instance.id} cannot hibernate here."
                    )
                if refusal := protection.from_stop(instance):
                    raise refusal
            return _transition("StoppingInstances", instances, made.stop, "pending running", "stopping stopped")

        def start_instances(self) -> ActionResult:
            self.error_on_dryrun()
            return _transition("StartingInstances", self._instances(), start, "stopped", "pending running")

        def reboot_instances(self) -> ActionResult:
            self.error_on_dryrun()
            _transition("", self._instances(), made.reboot, "running", "")
            return EmptyResult()

        def get_console_output(self) -> ActionResult:
            name = self._get_param("InstanceId")
            self.ec2_backend.get_instance(name)
            text = "\n".join(made.console(name)).encode()
            shown = {"InstanceId": name, "Timestamp": utcnow(), "Output": base64.b64encode(text).decode()}
            return ActionResult(shown)

        def create_fleet(self) -> ActionResult:
            raise Refusal("InvalidAction", "The region has no fleets: launch instances, or an Auto Scaling group.")

        request_spot_fleet = request_spot_instances = create_fleet

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

        def _instances(self) -> list[Instance]:
            return list(self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", [])))

    return HomeportEC2Response


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
