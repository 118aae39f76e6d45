"""The categories of instance metadata, by path (EC2's user guide, "Instance metadata categories")."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from homeport.region.instances import userdata
from homeport.region.metadata.model import InstanceMetadata, Issued

Leaf = Callable[[], str]
Node: TypeAlias = "Leaf | Mapping[str, Node]"
Keys = Callable[[str], Issued]


def tree(metadata: InstanceMetadata, keys: Keys) -> Mapping[str, Node]:
    """Return everything below ``/latest``; categories that the instance has no use for are absent."""
    top: dict[str, Node] = {
        "dynamic": {"instance-identity": {"document": lambda: _identity(metadata)}},
        "meta-data": _meta_data(metadata, keys),
    }
    if metadata.user_data:
        top["user-data"] = lambda: userdata.decode(metadata.user_data)
    return top


def find(node: Node, path: str) -> str | None:
    """Return the text at ``path`` (a listing for a folder), None when there is nothing.

    A slash at the end is allowed behind a value too: botocore asks for the zone in that way.
    """
    for name in [part for part in path.split("/") if part]:
        if callable(node) or name not in node:
            return None
        node = node[name]
    return node() if callable(node) else "\n".join(_listed(name, child) for name, child in sorted(node.items()))


def _listed(name: str, child: Node) -> str:
    return name if callable(child) else f"{name}/"


def _meta_data(metadata: InstanceMetadata, keys: Keys) -> Mapping[str, Node]:
    nodes: dict[str, Node] = {
        "ami-id": _text(metadata.image_id),
        "ami-launch-index": _text("0"),
        "hostname": _text(metadata.hostname),
        "instance-id": _text(metadata.instance_id),
        "instance-life-cycle": _text("on-demand"),
        "instance-type": _text(metadata.instance_type),
        "local-hostname": _text(metadata.hostname),
        "local-ipv4": _text(metadata.address),
        "mac": _text(metadata.mac),
        "placement": {
            "availability-zone": _text(metadata.zone),
            "region": _text(metadata.region_name),
        },
    }
    if metadata.lifecycle_state:
        nodes["autoscaling"] = {"target-lifecycle-state": _text(metadata.lifecycle_state)}
    if metadata.tags is not None:
        nodes["tags"] = {"instance": {key: _text(value) for key, value in metadata.tags.items()}}
    if metadata.role:
        nodes["iam"] = {
            "info": lambda: _info(metadata, keys(metadata.role)),
            "security-credentials": {metadata.role: lambda: _credentials(keys(metadata.role))},
        }
    return nodes


def _text(value: str) -> Leaf:
    return lambda: value


def _info(metadata: InstanceMetadata, issued: Issued) -> str:
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": _time(issued.issued_at),
            "InstanceProfileArn": metadata.instance_profile_arn,
            "InstanceProfileId": metadata.instance_profile_id,
        },
        indent=2,
    )


def _credentials(issued: Issued) -> str:
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": _time(issued.issued_at),
            "Type": "AWS-HMAC",
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key,
            "Token": issued.session_token,
            "Expiration": _time(issued.expires_at),
        },
        indent=2,
    )


def _identity(metadata: InstanceMetadata) -> str:
    return json.dumps(
        {
            "accountId": metadata.account_id,
            "architecture": "x86_64",
            "availabilityZone": metadata.zone,
            "billingProducts": None,
            "devpayProductCodes": None,
            "imageId": metadata.image_id,
            "instanceId": metadata.instance_id,
            "instanceType": metadata.instance_type,
            "kernelId": None,
            "marketplaceProductCodes": None,
            "pendingTime": _time(metadata.launched_at),
            "privateIp": metadata.address,
            "ramdiskId": None,
            "region": metadata.region_name,
            "version": "2017-09-30",
        },
        indent=2,
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
