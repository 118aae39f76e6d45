"""What each change of a plan does to the model. Only the ids of new activities are not told by the arguments."""

from collections.abc import Callable
from typing import Any

from homeport.region.autoscaling import activities, decisions
from homeport.region.autoscaling.lifecycle import STATES, permits, termination_of
from homeport.region.autoscaling.model import AutoScaling, Group, Instance, Launch
from homeport.region.autoscaling.plan import changes
from homeport.region.autoscaling.plan.facts import Moment


def apply(model: AutoScaling, group: Group, change: changes.Change, now: Moment) -> None:
    """Make a change so. An answer to a call about an instance or a launch that has gone is ignored.

    Raises:
        ValueError: The lifecycle table does not permit it.
    """
    if isinstance(change, changes.ForgetGroup):
        model.forget(group)
    elif isinstance(change, changes.InstanceChange):
        if instance := group.instances.get(change.instance_id):
            _OF_INSTANCES[type(change)](group, instance, change, now)
    else:
        _OF_GROUPS[type(change)](group, change, now)


def _begin_launch(group: Group, change: changes.BeginLaunch, now: Moment) -> None:
    activity = activities.begin(group, "Launching a new EC2 instance", change.cause, change.zone, now)
    launch = Launch(activity.activity_id, change.zone, change.subnet_id, now.wall)
    group.launches[activity.activity_id] = launch


def _launched(group: Group, change: changes.Launched, _: Moment) -> None:
    launch = group.launches.pop(change.activity_id, None)
    if launch is None:
        return
    group.instances[change.instance_id] = Instance(
        instance_id=change.instance_id,
        zone=launch.zone,
        instance_type=change.instance_type,
        launch_template=change.launch_template,
        activity_id=launch.activity_id,
        launched_at=launch.decided_at,
        protected=bool(group.settings["NewInstancesProtectedFromScaleIn"]),
    )
    if activity := activities.find(group, launch.activity_id):
        activity.description = f"Launching a new EC2 instance: {change.instance_id}"
        activity.status_code, activity.progress = "PreInService", 30


def _launch_failed(group: Group, change: changes.LaunchFailed, now: Moment) -> None:
    launch = group.launches.pop(change.activity_id, None)
    if launch is not None:
        _count_failure(group, changes.CountFailure(launch.decided_at), now)
        activities.end(group, change.activity_id, "Failed", now, change.message)


def _count_failure(group: Group, change: changes.CountFailure, now: Moment) -> None:
    if group.failed_at is not None and change.launched_at <= group.failed_at:
        return
    group.failures += 1
    group.failed_at = now.wall
    group.retry_at = now.after(decisions.backoff(group.failures - change.free))


def _reset_failures(group: Group, _: changes.ResetFailures, __: Moment) -> None:
    group.failures, group.failed_at, group.retry_at = 0, None, None


def _note(group: Group, change: changes.Note, _: Moment) -> None:
    activities.note(group, change.activity_id, change.message)


def _begin_termination(group: Group, instance: Instance, change: changes.BeginTermination, now: Moment) -> None:
    row = STATES[instance.lifecycle]
    if row.capacity and not row.traffic:
        activities.end(group, instance.activity_id, "Failed", now, change.because)
    activity = activities.begin(
        group,
        f"Terminating EC2 instance: {instance.instance_id}",
        f"At {now.wall:%Y-%m-%dT%H:%M:%SZ} an instance was taken out of service in response to {change.because}.",
        instance.zone,
        now,
    )
    instance.activity_id = activity.activity_id
    _move(instance, termination_of(instance.lifecycle))
    if instance.target_groups:
        activity.status_code = "WaitingForELBConnectionDraining"


def _advance(group: Group, instance: Instance, change: changes.Advance, now: Moment) -> None:
    _move(instance, change.to)
    if STATES[change.to].traffic:
        instance.in_service_at = now.wall
        activities.end(group, instance.activity_id, "Successful", now)


def _move(instance: Instance, to: str) -> None:
    if not permits(instance.lifecycle, to):
        raise ValueError(f"{instance.instance_id}: no instance goes from {instance.lifecycle} to {to or 'its end'}")
    instance.lifecycle = to


def _mark_unhealthy(_: Group, instance: Instance, change: changes.MarkUnhealthy, __: Moment) -> None:
    instance.health_status, instance.unhealthy_because = "Unhealthy", change.because


def _explain(group: Group, instance: Instance, change: changes.Explain, _: Moment) -> None:
    instance.explanation = change.message
    activities.note(group, instance.activity_id, change.message)


def _forget_instance(group: Group, instance: Instance, _: changes.ForgetInstance, now: Moment) -> None:
    del group.instances[instance.instance_id]
    activities.end(group, instance.activity_id, "Successful", now)


def _unconfirmed(_: Group, instance: Instance, change: changes.Unconfirmed, __: Moment) -> None:
    instance.target_groups = _with(instance.target_groups, change.target_group)
    instance.unconfirmed = _with(instance.unconfirmed, change.target_group)


def _registered(_: Group, instance: Instance, change: changes.Registered, __: Moment) -> None:
    instance.target_groups = _with(instance.target_groups, change.target_group)
    instance.unconfirmed = _without(instance.unconfirmed, change.target_group)


def _deregistered(_: Group, instance: Instance, change: changes.Deregistered, __: Moment) -> None:
    instance.target_groups = _without(instance.target_groups, change.target_group)
    instance.unconfirmed = _without(instance.unconfirmed, change.target_group)


def _draining(_: Group, instance: Instance, change: changes.Draining, now: Moment) -> None:
    instance.drain_until = now.after(change.delay)


def _with(names: list[str], name: str) -> list[str]:
    return [*_without(names, name), name]


def _without(names: list[str], name: str) -> list[str]:
    return [one for one in names if one != name]


_OF_GROUPS: dict[type, Callable[[Group, Any, Moment], None]] = {
    changes.BeginLaunch: _begin_launch,
    changes.Launched: _launched,
    changes.LaunchFailed: _launch_failed,
    changes.CountFailure: _count_failure,
    changes.ResetFailures: _reset_failures,
    changes.Note: _note,
}
_OF_INSTANCES: dict[type, Callable[[Group, Instance, Any, Moment], None]] = {
    changes.BeginTermination: _begin_termination,
    changes.Advance: _advance,
    changes.MarkUnhealthy: _mark_unhealthy,
    changes.Explain: _explain,
    changes.ForgetInstance: _forget_instance,
    changes.Unconfirmed: _unconfirmed,
    changes.Registered: _registered,
    changes.Deregistered: _deregistered,
    changes.Draining: _draining,
}
