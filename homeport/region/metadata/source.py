"""An instance's metadata, read from what the API holds of it."""

import base64
import threading
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from homeport.region.from_moto.ec2 import Instance
from homeport.region.metadata.model import InstanceMetadata, Interface, Source


def source(instance: Instance, lock: threading.RLock, sts: Any, lifecycle: Callable[[str], str]) -> Source:
    """Return where an instance's metadata comes from.

    ``lock`` guards moto; ``sts`` is a boto3 client; ``lifecycle`` tells an instance id's target state in
    its group.
    """

    def describe() -> InstanceMetadata:
        state = lifecycle(instance.id)
        with lock:
            return _describe(instance, state)

    def credentials(role: str) -> Mapping[str, Any]:
        with lock:
            arn = next(r.arn for r in _profile(instance).roles if r.name == role)
        # As EC2 does it: the instance's id is the session's name.
        issued = sts.assume_role(RoleArn=arn, RoleSessionName=instance.id)["Credentials"]
        return dict(issued)

    return Source(describe=describe, credentials=credentials)


def _describe(instance: Instance, lifecycle: str) -> InstanceMetadata:
    options, profile = instance.metadata_options, _profile(instance)
    tags = (
        {tag["key"]: tag["value"] for tag in instance.get_tags()}
        if options.instance_metadata_tags == "enabled"
        else None
    )
    launched = instance.launch_time
    return InstanceMetadata(
        instance_id=instance.id,
        image_id=instance.image_id,
        instance_type=instance.instance_type,
        address=str(instance.private_ip_address),
        hostname=instance.private_dns_name,
        mac=instance.nics[0].mac_address,
        zone=str(instance.availability_zone),
        region_name=instance.ec2_backend.region_name,
        account_id=instance.owner_id,
        launched_at=launched if launched.tzinfo else launched.replace(tzinfo=UTC),
        user_data=base64.b64decode(str(instance.user_data or "")),
        launch_index=int(instance.ami_launch_index),
        reservation_id=_reservation(instance),
        key_name=str(instance.key_name or ""),
        # The key pair itself may be gone: an instance keeps the key that it was launched with.
        public_key=getattr(instance, "public_key", ""),
        root_device=instance.root_device_name or "/dev/xvda",
        volumes=tuple(sorted(set(instance.block_device_mapping) - {instance.root_device_name})),
        interfaces=tuple(_interface(instance, nic) for _, nic in sorted(instance.nics.items())),
        tags=tags,
        role=profile.roles[0].name if profile and profile.roles else "",
        instance_profile_arn=profile.arn if profile else "",
        instance_profile_id=profile.id if profile else "",
        lifecycle_state=lifecycle,
        tokens_required=options.http_tokens == "required",
        hop_limit=int(options.http_put_response_hop_limit or 1),
        enabled=options.http_endpoint == "enabled",
    )


def _reservation(instance: Instance) -> str:
    reservations = instance.ec2_backend.reservations.values()
    return next((one.id for one in reservations if instance in one.instances), "")


def _interface(instance: Instance, nic: Any) -> Interface:
    subnet = nic.subnet
    vpc = instance.ec2_backend.vpcs.get(subnet.vpc_id)
    ranges = [one["cidr_block"] for one in vpc.get_cidr_block_association_set()] if vpc else []
    main = str(nic.private_ip_address)
    further = [one["PrivateIpAddress"] for one in nic.private_ip_addresses if one["PrivateIpAddress"] != main]
    return Interface(
        mac=nic.mac_address,
        interface_id=nic.id,
        device_number=int(nic.device_index or 0),
        owner_id=instance.owner_id,
        hostname=instance.private_dns_name,
        addresses=(main, *further),
        subnet_id=subnet.id,
        subnet_range=subnet.cidr_block,
        vpc_id=subnet.vpc_id,
        vpc_ranges=tuple(ranges),
        public_address=str(nic.public_ip or ""),
        security_groups=tuple((group.id, group.name) for group in nic.group_set),
    )


def _profile(instance: Instance) -> Any:
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    return association.iam_instance_profile if association else None
