"""What keeps a group from being deleted: its ``DeletionProtection``."""

from typing import Any

from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.service import validation

LEVELS = ("none", "prevent-force-deletion", "prevent-all-deletion")


def check_level(settings: dict[str, Any]) -> None:
    """Answer AWS's ``ValidationError`` for a level that is none."""
    level = settings.get("DeletionProtection", "none")
    if level not in LEVELS:
        raise validation(f"DeletionProtection '{level}' is not one of {', '.join(LEVELS)}")


def check_deletion(group: Group, *, force: bool) -> None:
    """Answer AWS's ``ValidationError`` when the group must not be deleted, in this way or at all."""
    level = group.settings.get("DeletionProtection", "none")
    if level == "prevent-all-deletion" or (level == "prevent-force-deletion" and force):
        how = " with ForceDelete" if force else ""
        raise validation(
            f"The Auto Scaling group {group.name} cannot be deleted{how}: its deletion protection is {level}. "
            "Update it to a less restrictive level first."
        )
