"""EC2's RunInstances: a request and its launch template become instances with machines."""

import base64
import uuid
from contextlib import nullcontext
from typing import Any

from homeport.region.ec2 import addressing, default_vpc, launch_request, launch_template, launched
from homeport.region.ec2.image import Image, find_image
from homeport.region.ec2.interfaces import refuse_attached
from homeport.region.ec2.machines import Machines
from homeport.region.from_moto import private
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import (
    EC2ClientError,
    EC2Response,
    KeyPair,
    convert_tag_spec,
    filter_iam_instance_profiles,
    parse_user_data,
)
from homeport.region.from_moto.iam import NotFoundException as IamNotFound

VERSION_TWO = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
"""What an image that was registered for version 2 of the metadata service asks for."""
USER_DATA_BYTES = 16384
"""EC2's limit, counted before base64."""


class LaunchResponse(EC2Response):
    """Instances that are launched with all that the request and the template say."""

    machines: Machines

    def run_instances(self) -> ActionResult:
        """Launch instances; all that can be refused is refused before there is anything."""
        if earlier := _reservation_of(self.ec2_backend, self._get_param("ClientToken")):
            return ActionResult(earlier)
        request = self._merged_request()
        image = find_image(self.ec2_backend, request.get("ImageId"))
        if image.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{image.id}]' is {image.state}")
        key = self._key(request.get("KeyName"))
        check_user_data(request.get("UserData"))
        _complete(request, image)
        launch_request.check(request)
        self._check_profile(request.get("IamInstanceProfile") or {})
        default_vpc.fill_in(self.ec2_backend, request)
        interfaces = launch_request.interfaces(request)
        refuse_attached(
            self.ec2_backend, [one["NetworkInterfaceId"] for one in interfaces if "NetworkInterfaceId" in one]
        )
        taken = addressing.holders(self.ec2_backend)
        addressing.check_interfaces(self.ec2_backend, self.machines.ranges, interfaces, taken)
        count = self._count(request, interfaces, taken)
        self.error_on_dryrun()
        self.params = _for_moto(request, interfaces, count) | self._place(interfaces, request)
        with self._choose_addresses(interfaces[0], count, taken):
            result = super().run_instances()
        reservation: Any = result.result
        tags = convert_tag_spec(request.get("TagSpecifications") or [])
        for instance in reservation.instances:
            launched.keep(instance, request, interfaces, tags)
            # The instance keeps its key when the pair is deleted.
            instance.public_key = _public_key(key)
            self._associate_profile(instance.id, request)
            self.machines.launch(instance)
        return result

    def _merged_request(self) -> dict[str, Any]:
        request: dict[str, Any] = launch_request.said(self.params)
        if not request.get("LaunchTemplate"):
            return request
        version = launch_template.find_version(self.ec2_backend, request["LaunchTemplate"])
        merged = launch_template.merge(launch_request.said(version.data), request)
        # moto marks instances with the template by this, and would fill in what is not said otherwise.
        merged["LaunchTemplate"] = {"LaunchTemplateId": version.template.id, "Version": str(version.number)}
        return merged

    def _count(self, request: launch_request.Fields, interfaces: list[dict[str, Any]], taken: addressing.Taken) -> int:
        """Return how many instances to launch: as many as there is room for, up to what is asked for."""
        least, most = launch_request.counts(request)
        room = addressing.room(self.ec2_backend, interfaces, taken)
        if room < least:
            raise addressing.no_room(next(one["SubnetId"] for one in interfaces if one.get("SubnetId")))
        return min(most, room)

    def _choose_addresses(self, first: launch_request.Fields, count: int, taken: addressing.Taken) -> Any:
        """Choose the addresses of the first interfaces, unless the request does."""
        if not first.get("SubnetId") or first.get("NetworkInterfaceId") or addressing.asked_addresses(first):
            return nullcontext()
        subnet = self.ec2_backend.get_subnet(first["SubnetId"])
        return private.next_addresses(subnet, addressing.lowest(subnet, taken, count))

    def _place(self, interfaces: list[dict[str, Any]], request: launch_request.Fields) -> dict[str, Any]:
        """Return the zone of an interface that exists already: moto would take the first one, for the volumes too."""
        first = interfaces[0]
        if not first.get("NetworkInterfaceId"):
            return {}
        interface = self.ec2_backend.get_network_interface(first["NetworkInterfaceId"])
        zone = interface.subnet.availability_zone
        return {"Placement": dict(request.get("Placement") or {}) | {"AvailabilityZone": zone}}

    def _key(self, name: str | None) -> KeyPair | None:
        if not name:
            return None
        if name not in self.ec2_backend.key_pairs:
            raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        pair: KeyPair = self.ec2_backend.key_pairs[name]
        return pair

    def _check_profile(self, profile: launch_request.Fields) -> None:
        name, arn = profile.get("Name"), profile.get("Arn")
        if not name and not arn:
            return
        try:
            filter_iam_instance_profiles(self.current_account, self.partition, arn, name)
        except IamNotFound:
            parameter, what = ("name", "name") if name else ("arn", "ARN")
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({name or arn}) for parameter iamInstanceProfile.{parameter} is invalid. "
                f"Invalid IAM Instance Profile {what}",
            ) from None

    def _associate_profile(self, instance_id: str, request: launch_request.Fields) -> None:
        """Give every instance the profile; moto gives it to the first one."""
        profile = request.get("IamInstanceProfile") or {}
        if profile and instance_id not in self.ec2_backend.iam_instance_profile_associations:
            self.ec2_backend.associate_iam_instance_profile(
                instance_id, iam_instance_profile_name=profile.get("Name"), iam_instance_profile_arn=profile.get("Arn")
            )


def check_user_data(given: Any) -> None:
    """Refuse user-data, in base64, that is none or too long."""
    data = parse_user_data(str(given)) if given else None
    if data and len(base64.b64decode(str(data))) > USER_DATA_BYTES:
        raise EC2ClientError("InvalidParameterValue", f"User data is limited to {USER_DATA_BYTES} bytes")


def _complete(request: dict[str, Any], image: Image) -> None:
    """Add what the image says, and what EC2 makes up."""
    request["BlockDeviceMappings"] = launch_template.merge_devices(
        image.block_device_mappings, request.get("BlockDeviceMappings") or []
    )
    if image.imds_support == "v2.0":
        request["MetadataOptions"] = VERSION_TWO | dict(request.get("MetadataOptions") or {})
    request.setdefault("ClientToken", str(uuid.uuid4()))


def _for_moto(request: dict[str, Any], interfaces: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """Return the request as moto's launch reads it; what it lacks, ``launched.keep`` brings."""
    params = request | {
        "MinCount": count,
        # moto makes no volume of a type that needs figures which it does not pass on.
        "BlockDeviceMappings": [
            {**one, "Ebs": {**one["Ebs"], "VolumeType": "gp3", "Iops": None}} if one.get("Ebs") else one
            for one in request["BlockDeviceMappings"]
            if "VirtualName" not in one
        ],
    }
    params.pop("Ipv6AddressCount", None)
    if request.get("NetworkInterfaces"):
        params["NetworkInterfaces"] = interfaces
    params["UserData"] = str(request.get("UserData") or "") or None
    return params


def _public_key(pair: KeyPair | None) -> str:
    """Return a key as metadata shows it: with the pair's name for a comment, whatever it was imported with."""
    if pair is None:
        return ""
    kind, material = pair.public_key.split()[:2]
    return f"{kind} {material} {pair.key_name}"


def _reservation_of(backend: Any, client_token: str | None) -> Any:
    """Return what an earlier request with the same client token made: AWS runs such a request once."""
    for reservation in backend.reservations.values() if client_token else ():
        if any(instance.client_token == client_token for instance in reservation.instances):
            return reservation
    return None
