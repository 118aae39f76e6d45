"""What EC2 refuses of a RunInstances request, and what this region cannot make true of one.

A request is checked with its launch template's data merged in (``launch_template.merge``), as EC2 does it.
"""

from collections.abc import Mapping
from typing import Any

from homeport.region.from_moto.ec2 import EC2ClientError, InvalidParameterCombination

Fields = Mapping[str, Any]

WITH_INTERFACES = {
    "SubnetId": "an instance-level subnet ID",
    "SecurityGroupIds": "an instance-level security groups",
    "SecurityGroups": "an instance-level security groups",
    "PrivateIpAddress": "an instance-level private IP address",
    "Ipv6Addresses": "an instance-level IPv6 addresses",
    "Ipv6AddressCount": "an instance-level IPv6 address count",
}
"""What a request with network interfaces says of each of them, and so not of the instance; in EC2's words."""

OF_THE_ONLY_INTERFACE = ("SubnetId", "PrivateIpAddress", "Ipv6Addresses", "Ipv6AddressCount")

REFUSED = {
    "ElasticGpuSpecification": "Amazon ended Elastic Graphics in January 2024",
    "ElasticInferenceAccelerators": "Amazon no longer offers Elastic Inference",
    "InstanceRequirements": "RunInstances takes an InstanceType only, in AWS too",
    "Operator": "it is reserved for AWS",
    "SecondaryInterfaces": "this region has no secondary networks",
    "NetworkInterfaces.AssociateCarrierIpAddress": "this region has no Wavelength Zones",
    "NetworkInterfaces.EnaQueueCount": "an interface here has no ENA queues",
    "NetworkInterfaces.EnaSrdSpecification": "this region has no ENA Express",
    "NetworkInterfaces.Ipv4PrefixCount": "an interface here has addresses only, no prefixes",
    "NetworkInterfaces.Ipv4Prefixes": "an interface here has addresses only, no prefixes",
    "NetworkInterfaces.Ipv6PrefixCount": "an interface here has addresses only, no prefixes",
    "NetworkInterfaces.Ipv6Prefixes": "an interface here has addresses only, no prefixes",
    "NetworkInterfaces.NetworkCardIndex": "an instance here has network card 0 only",
    "NetworkInterfaces.PrimaryIpv6": "machines here have IPv4 addresses only",
    "EnablePrimaryIpv6": "machines here have IPv4 addresses only",
    "BlockDeviceMappings.Ebs.EbsCardIndex": "an instance here has EBS card 0 only",
    "BlockDeviceMappings.Ebs.OutpostArn": "this region has no Outposts",
}
"""What cannot be made true here, and why. Zero, false and nothing are what it is anyway."""

TAGGED = ("instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu")
"""What RunInstances tags; the last two only when the launch makes some."""

MAY_BE_BLANK = ("NoDevice", "Value")
"""Members that say something when they are blank: a device that the image has and the instance has not, and a tag."""

ONE_OF = {
    "InstanceInitiatedShutdownBehavior": ("stop", "terminate"),
    "CreditSpecification.CpuCredits": ("standard", "unlimited"),
    "CpuOptions.AmdSevSnp": ("enabled", "disabled"),
    "MaintenanceOptions.AutoRecovery": ("default", "disabled"),
    "MetadataOptions.HttpEndpoint": ("enabled", "disabled"),
    "MetadataOptions.HttpTokens": ("optional", "required"),
    "MetadataOptions.InstanceMetadataTags": ("enabled", "disabled"),
    "Placement.Tenancy": ("default", "dedicated", "host"),
    "PrivateDnsNameOptions.HostnameType": ("ip-name", "resource-name"),
}

IOPS_REQUIRED = ("io1", "io2")
IOPS_TAKEN = (*IOPS_REQUIRED, "gp3")


def said(value: Any) -> Any:
    """Return a parameter without members that are blank, and without what is empty then.

    Older SDKs send the fields that their caller left empty, Packer's ``IamInstanceProfile.Name=`` for one; EC2 takes
    them for absent.
    """
    if isinstance(value, Mapping):
        found = {name: said(inner) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if name in MAY_BE_BLANK or inner not in (None, "", {})}
    return [said(one) for one in value] if isinstance(value, list) else value


def check(request: Fields) -> None:
    """Raise EC2's error for a request that EC2 refuses, or that this region cannot carry out."""
    _check_refused(request, "")
    _check_combinations(request)
    market = (request.get("InstanceMarketOptions") or {}).get("MarketType")
    if market not in (None, "on-demand"):
        raise unsupported("InstanceMarketOptions", f"this region has on-demand capacity only, not {market}")
    check_values(request)
    for spec in request.get("TagSpecifications") or []:
        if spec["ResourceType"] not in TAGGED:
            kind = spec["ResourceType"]
            message = f"'{kind}' is not a valid taggable resource type for this operation."
            raise EC2ClientError("InvalidParameterValue", message)
    for mapping in request.get("BlockDeviceMappings") or []:
        _check_volume(mapping.get("Ebs") or {})


def check_values(request: Fields) -> None:
    """Raise EC2's error for a word that is none of those that a parameter takes."""
    for name, values in ONE_OF.items():
        value = _at(request, name)
        if value is not None and value not in values:
            raise EC2ClientError(
                "InvalidParameterValue", f"Invalid value '{value}' for {name}. Valid values: {', '.join(values)}."
            )


def counts(request: Fields) -> tuple[int, int]:
    """Return the least and the most instances that a request asks for; raise EC2's error when they make no sense."""
    for name in ("MinCount", "MaxCount"):
        if request.get(name) is None:
            raise EC2ClientError("MissingParameter", f"The request must contain the parameter {name}")
    least, most = int(request["MinCount"]), int(request["MaxCount"])
    if not 1 <= least <= most:
        raise EC2ClientError(
            "InvalidParameterValue", f"MinCount {least} and MaxCount {most} must be at least 1, and in that order."
        )
    return least, most


def interfaces(request: Fields) -> list[dict[str, Any]]:
    """Return the network interfaces of a request, the first one first; an instance without any gets one.

    Raises EC2's error unless each has a device index of its own, one of them the first.
    """
    given = request.get("NetworkInterfaces")
    if not given:
        return [{"DeviceIndex": 0} | {name: request[name] for name in OF_THE_ONLY_INTERFACE if request.get(name)}]
    found = [dict(one) | {"DeviceIndex": int(one.get("DeviceIndex") or 0)} for one in given]
    indices = {one["DeviceIndex"] for one in found}
    if len(indices) < len(found):
        raise EC2ClientError("InvalidParameterValue", "Each network interface requires a unique device index.")
    if 0 not in indices:
        raise EC2ClientError("InvalidParameterValue", "One of the network interfaces must have device index 0.")
    return sorted(found, key=lambda one: int(one["DeviceIndex"]))


def unsupported(name: str, why: str) -> EC2ClientError:
    """Return the refusal of a field, by its name."""
    return EC2ClientError("UnsupportedOperation", f"{name} cannot be had here: {why}.")


def _check_refused(value: Any, path: str) -> None:
    if path in REFUSED and _says_something(value):
        raise unsupported(path, REFUSED[path])
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_refused(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                _check_refused(item, path)


def _says_something(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_says_something(one) for one in value.values())
    return bool(value)


def _check_combinations(request: Fields) -> None:
    given = request.get("NetworkInterfaces") or []
    for name, words in WITH_INTERFACES.items():
        if given and request.get(name):
            raise InvalidParameterCombination(
                f"Network interfaces and {words} may not be specified on the same request"
            )
    for one in (request, *given):
        if one.get("Ipv6Addresses") and one.get("Ipv6AddressCount"):
            raise InvalidParameterCombination(
                "IPv6 addresses and IPv6 address count may not be specified on the same request"
            )
    profile = request.get("IamInstanceProfile") or {}
    if profile.get("Arn") and profile.get("Name"):
        raise InvalidParameterCombination("The parameter 'Arn' may not be used in combination with 'Name'")
    one_address = request.get("PrivateIpAddress") or any(
        one.get("NetworkInterfaceId") or one.get("PrivateIpAddress") or one.get("PrivateIpAddresses") for one in given
    )
    if one_address and counts(request)[1] > 1:
        raise InvalidParameterCombination(
            "A private address or a network interface is one instance's: MaxCount must be 1"
        )


def _check_volume(ebs: Fields) -> None:
    kind, iops = ebs.get("VolumeType"), ebs.get("Iops")
    if kind in IOPS_REQUIRED and not iops:
        raise EC2ClientError("MissingParameter", f"The parameter iops must be specified for {kind} volumes.")
    if iops and kind and kind not in IOPS_TAKEN:
        raise InvalidParameterCombination(f"The parameter iops is not supported for {kind} volumes.")
    if ebs.get("Throughput") and kind and kind != "gp3":
        raise InvalidParameterCombination(f"The parameter throughput is not supported for {kind} volumes.")


def _at(request: Fields, path: str) -> Any:
    value: Any = request
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
