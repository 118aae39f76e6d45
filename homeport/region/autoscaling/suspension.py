"""The API's operations on a group's processes: what is suspended, the plan leaves alone."""

from typing import Any

from homeport.region.autoscaling.service import Service, validation

Params = dict[str, Any]

PROCESSES = (
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
)


def suspend_processes(service: Service, params: Params) -> Params:
    """SuspendProcesses: all of them when none is named."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        processes = params.get("ScalingProcesses") or PROCESSES
        for process in processes:
            if process not in PROCESSES:
                raise validation(f"'{process}' is not a valid scaling process; one of {', '.join(PROCESSES)}")
        for process in processes:
            group.suspended[process] = f"User suspended at {service.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    return {}


def resume_processes(service: Service, params: Params) -> Params:
    """ResumeProcesses: all of them when none is named."""
    with service.lock:
        group = service.changeable(params["AutoScalingGroupName"])
        for process in params.get("ScalingProcesses") or PROCESSES:
            group.suspended.pop(process, None)
    service.wake()
    return {}
