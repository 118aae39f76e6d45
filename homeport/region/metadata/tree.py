"""The categories of instance metadata, by path (EC2's user guide, "Instance metadata categories")."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from homeport.region.metadata.model import InstanceMetadata, Interface, Issued

VERSIONS = (
    *("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01"),
    *("2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19"),
    *("2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03"),
    *("2021-03-23", "2021-07-15", "2022-09-24", "2024-04-11", "latest"),
)
"""What EC2 lists at the root. All of them show the same here: what a version did not have yet, it shows too."""

Leaf = Callable[[], str | bytes]
Node: TypeAlias = "Leaf | Mapping[str, Node]"
Keys = Callable[[str], Issued]


def tree(metadata: InstanceMetadata, keys: Keys) -> Mapping[str, Node]:
    """Return everything below ``/latest``; categories that the instance has no use for are absent."""
    top: dict[str, Node] = {
        "dynamic": {"instance-identity": {"document": lambda: _identity(metadata)}},
        "meta-data": _meta_data(metadata, keys),
    }
    if metadata.user_data:
        top["user-data"] = lambda: metadata.user_data
    return top


def find(node: Node, path: str) -> str | bytes | None:
    """Return what stands at ``path`` (a listing for a folder), None when there is nothing.

    A slash at the end is allowed behind a value too: botocore asks for the zone in that way.
    """
    path = path.strip("/")
    if not path:
        return node() if callable(node) else _listing(node)
    if callable(node):
        return None
    if path in node:
        # As a whole: the key of a tag may hold slashes.
        return find(node[path], "")
    name, _, rest = path.partition("/")
    return find(node[name], rest) if name in node else None


class Numbered(dict[str, "Node"]):
    """A folder whose members are asked for by number and listed as ``0=name``: the public keys."""

    def __init__(self, name: str, node: "Node") -> None:
        super().__init__({"0": node})
        self.listing = f"0={name}"


def _listing(folder: Mapping[str, Node]) -> str:
    if isinstance(folder, Numbered):
        return folder.listing
    return "\n".join(name if callable(child) else f"{name}/" for name, child in sorted(folder.items()))


def _meta_data(metadata: InstanceMetadata, keys: Keys) -> Mapping[str, Node]:
    nodes: dict[str, Node] = {
        "ami-id": _text(metadata.image_id),
        "ami-launch-index": _text(str(metadata.launch_index)),
        "ami-manifest-path": _text("(unknown)"),
        "block-device-mapping": _block_devices(metadata),
        "events": {"maintenance": {"history": _text("[]"), "scheduled": _text("[]")}},
        "hostname": _text(metadata.hostname),
        "instance-action": _text("none"),
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
        "profile": _text("default-hvm"),
        "services": {"domain": _text("amazonaws.com"), "partition": _text("aws")},
        "system": _text("nitro"),
    }
    if metadata.reservation_id:
        nodes["reservation-id"] = _text(metadata.reservation_id)
    if metadata.interfaces:
        nodes |= _network(metadata.interfaces)
    if metadata.public_key:
        nodes["public-keys"] = Numbered(metadata.key_name, {"openssh-key": _text(metadata.public_key)})
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


def _block_devices(metadata: InstanceMetadata) -> Mapping[str, Node]:
    further = {f"ebs{number}": device for number, device in enumerate(metadata.volumes, start=1)}
    names = {"ami": metadata.root_device, "root": metadata.root_device} | further
    return {name: _text(device) for name, device in names.items()}


def _network(interfaces: tuple[Interface, ...]) -> dict[str, Node]:
    """Return what depends on the instance's interfaces: a tree of its own, and facts of the first one."""
    first = interfaces[0]
    nodes: dict[str, Node] = {
        "network": {"interfaces": {"macs": {one.mac: _interface(one) for one in interfaces}}},
        "security-groups": _text("\n".join(name for _, name in first.security_groups)),
    }
    if first.public_address:
        nodes["public-ipv4"] = _text(first.public_address)
    return nodes


def _interface(interface: Interface) -> Mapping[str, Node]:
    facts = {
        "device-number": str(interface.device_number),
        "interface-id": interface.interface_id,
        "local-hostname": interface.hostname,
        "local-ipv4s": "\n".join(interface.addresses),
        "mac": interface.mac,
        "owner-id": interface.owner_id,
        "public-ipv4s": interface.public_address,
        "security-group-ids": "\n".join(group for group, _ in interface.security_groups),
        "security-groups": "\n".join(name for _, name in interface.security_groups),
        "subnet-id": interface.subnet_id,
        "subnet-ipv4-cidr-block": interface.subnet_range,
        "vpc-id": interface.vpc_id,
        "vpc-ipv4-cidr-block": interface.vpc_ranges[0] if interface.vpc_ranges else "",
        "vpc-ipv4-cidr-blocks": "\n".join(interface.vpc_ranges),
    }
    return {name: _text(fact) for name, fact in facts.items() if fact}


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
