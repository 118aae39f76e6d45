"""An instance's metadata, read from what the API holds of it."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from moto.ec2.models.instances import Instance

from homeport.region.metadata.model import InstanceMetadata, Source


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
        user_data=str(instance.user_data or ""),
        tags=tags,
        role=profile.roles[0].name if profile and profile.roles else "",
        instance_profile_arn=profile.arn if profile else "",
        instance_profile_id=profile.id if profile else "",
        lifecycle_state=lifecycle,
        tokens_required=options.http_tokens == "required",
        enabled=options.http_endpoint == "enabled",
    )


def _profile(instance: Instance) -> Any:
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    return association.iam_instance_profile if association else None
