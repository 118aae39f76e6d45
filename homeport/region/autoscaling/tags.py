"""A group's tags: the API's operations, and the filters that read them."""

from typing import Any

from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.service import Service

Params = dict[str, Any]


def set_tags(group: Group, tags: list[Params]) -> None:
    """Add or replace tags by key."""
    by_key = {tag["Key"]: tag for tag in group.tags}
    for tag in tags:
        by_key[tag["Key"]] = {
            "Key": tag["Key"],
            "Value": tag.get("Value", ""),
            "PropagateAtLaunch": bool(tag.get("PropagateAtLaunch", False)),
        }
    group.tags = list(by_key.values())


def describe(group: Group) -> list[Params]:
    """Return the tags as the API lists them."""
    return [tag | {"ResourceId": group.name, "ResourceType": "auto-scaling-group"} for tag in group.tags]


def match(group: Group, filters: list[Params]) -> bool:
    """Return whether a group passes ``tag-key``, ``tag-value`` and ``tag:<key>`` filters, all of them."""
    values = {tag["Key"]: tag["Value"] for tag in group.tags}
    for condition in filters:
        name, wanted = condition["Name"], condition.get("Values", [])
        if name == "tag-key":
            passed = any(key in wanted for key in values)
        elif name == "tag-value":
            passed = any(value in wanted for value in values.values())
        else:
            passed = values.get(name.removeprefix("tag:")) in wanted
        if not passed:
            return False
    return True


def create_or_update_tags(service: Service, params: Params) -> Params:
    """CreateOrUpdateTags."""
    with service.lock:
        for tag in params["Tags"]:
            set_tags(service.group(tag["ResourceId"]), [tag])
    return {}


def delete_tags(service: Service, params: Params) -> Params:
    """DeleteTags."""
    with service.lock:
        for tag in params["Tags"]:
            group = service.group(tag["ResourceId"])
            group.tags = [kept for kept in group.tags if kept["Key"] != tag["Key"]]
    return {}


def describe_tags(service: Service, params: Params) -> Params:
    """DescribeTags, with the filters auto-scaling-group, key, value and propagate-at-launch."""
    with service.lock:
        found = [tag for group in service.model.groups.values() for tag in describe(group)]
    fields = {
        "auto-scaling-group": "ResourceId",
        "key": "Key",
        "value": "Value",
        "propagate-at-launch": "PropagateAtLaunch",
    }
    for condition in params.get("Filters", []):
        field = fields.get(condition["Name"], "Key")
        found = [tag for tag in found if str(tag[field]).lower() in [v.lower() for v in condition["Values"]]]
    return {"Tags": found}
