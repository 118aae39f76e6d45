"""The history of a group: what ``DescribeScalingActivities`` tells of each launch and termination."""

import json
import uuid

from homeport.region.autoscaling.model import Activity, Group
from homeport.region.autoscaling.plan.facts import Moment

HISTORY = 100
"""Activities that are kept for each group; AWS keeps six weeks of them."""


def begin(group: Group, description: str, cause: str, zone: str, now: Moment) -> Activity:
    """Add a line to the group's history, newest first, and return it."""
    activity = Activity(
        activity_id=str(uuid.uuid4()),
        group_name=group.name,
        group_arn=group.arn,
        description=description,
        cause=cause,
        start_time=now.wall,
        details=json.dumps({"Subnet ID": ",".join(group.subnets.get(zone, [])), "Availability Zone": zone}),
    )
    group.activities.insert(0, activity)
    del group.activities[HISTORY:]
    return activity


def find(group: Group, activity_id: str) -> Activity | None:
    """Return an activity, or None when the history no longer holds it."""
    return next((activity for activity in group.activities if activity.activity_id == activity_id), None)


def note(group: Group, activity_id: str, message: str) -> None:
    """Say in an activity what keeps it from its end, or with nothing that it is over; why one failed stays."""
    activity = find(group, activity_id)
    if activity is not None and activity.status_code != "Failed":
        activity.status_message = message


def end(group: Group, activity_id: str, status: str, now: Moment, message: str = "") -> None:
    """Close a line of the history: ``Successful``, ``Failed`` or ``Cancelled``."""
    activity = find(group, activity_id)
    if activity is not None:
        activity.status_code, activity.status_message = status, message
        activity.progress, activity.end_time = 100, now.wall
