"""A launch template under a request: the one place where the two become one RunInstances request.

EC2's rules (EC2 User Guide, "Launch EC2 instances using a launch template"): a parameter of the request takes the
place of the template's. A nested structure of the template stays, with the members that the request names in place
of its own: tags by their key, devices by their name. Nothing of a template can be removed by a request.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from homeport.region.from_moto.ec2 import InvalidLaunchTemplateVersionNotFound

Fields = Mapping[str, Any]

RENAMED = {"RamDiskId": "RamdiskId", "ElasticGpuSpecifications": "ElasticGpuSpecification"}
"""Fields of a template that RunInstances spells otherwise."""

KEYS: dict[str, dict[str, Any]] = {
    "BlockDeviceMappings": {"DeviceName": None},
    "NetworkInterfaces": {"NetworkCardIndex": 0, "DeviceIndex": 0},
    "TagSpecifications": {"ResourceType": None},
    "Tags": {"Key": None},
}
"""What tells the items of a list apart, with what holds for an item that lacks it. Other lists are one value."""

ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "BlockDeviceMappings": ("Ebs", "NoDevice", "VirtualName"),
    "CapacityReservationSpecification": ("CapacityReservationPreference", "CapacityReservationTarget"),
    "CapacityReservationTarget": ("CapacityReservationId", "CapacityReservationResourceGroupArn"),
    "IamInstanceProfile": ("Arn", "Name"),
}
"""Members of which one says what the others would: the request's takes the place of the template's."""


def merge(template_data: Fields, request: Fields) -> dict[str, Any]:
    """Return a RunInstances request that says what ``request`` says, and all else that the template says.

    ``template_data`` is the ``LaunchTemplateData`` of a template's version; neither argument is changed.
    """
    below = {RENAMED.get(name, name): value for name, value in template_data.items()}
    merged: dict[str, Any] = _merged_structure("", below, request)
    return merged


def merge_devices(*layers: Iterable[Fields]) -> list[dict[str, Any]]:
    """Return block device mappings of which each layer says more than, or otherwise than, those before it."""
    devices: list[dict[str, Any]] = []
    for layer in layers:
        devices = _merged_list("BlockDeviceMappings", devices, list(layer))
    return devices


def find_version(backend: Any, wanted: Fields) -> Any:
    """Return the version that a ``LaunchTemplateSpecification`` names, the default one when it names none.

    Raises EC2's error when there is no such template or version.
    """
    name, template_id = wanted.get("LaunchTemplateName"), wanted.get("LaunchTemplateId")
    find = backend.get_launch_template_by_name if name else backend.get_launch_template
    template = find(name or template_id)
    number = str(wanted.get("Version") or "$Default")
    known = {"$latest", "$default"} | {str(version.number) for version in template.versions}
    if number.lower() not in known:
        # moto would take 0 and -1 for the last one.
        raise InvalidLaunchTemplateVersionNotFound(template_id=template.id, version=number)
    return template.get_version(number)


def _merged(name: str, below: Any, above: Any) -> Any:
    if above is None:
        return below
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return _merged_structure(name, below, above)
    if name in KEYS and isinstance(below, list) and isinstance(above, list):
        return _merged_list(name, below, above)
    return above


def _merged_structure(name: str, below: Fields, above: Fields) -> dict[str, Any]:
    alternatives = ALTERNATIVES.get(name, ())
    chosen = {member for member in alternatives if above.get(member) is not None}
    dropped = set(alternatives) - chosen if chosen else set()
    kept = {member: value for member, value in below.items() if member not in dropped and value is not None}
    said = {member: _merged(member, kept.get(member), value) for member, value in above.items() if value is not None}
    return kept | said


def _merged_list(name: str, below: list[Any], above: list[Any]) -> list[Any]:
    merged = list(below)
    places = {_key(name, item): place for place, item in reversed(list(enumerate(below)))}
    for item in above:
        place = places.get(_key(name, item))
        if place is None:
            merged.append(item)
        else:
            merged[place] = _merged_structure(name, merged[place], item)
    return merged


def _key(name: str, item: Fields) -> tuple[Any, ...]:
    return tuple(item.get(member, default) for member, default in KEYS[name].items())
