"""What the fleet looks like now: read from the API, with the pids that only this machine knows."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from homeport.errors import HomeportError
from homeport.region import access, daemon
from homeport.region.journal import Journal
from homeport.region.state import Run, StateFolder

SERVICE_TAG = "Service"
"""The tag by which Terraform's service module names a group's service."""


def read(state: StateFolder) -> dict[str, Any]:
    """Return the driver, the instances' key, and the services by name with url, desired, healthy and instances.

    Raises:
        HomeportError: when no region runs, or it does not answer.
    """
    run = living(state)
    reach = access.settings(run, access.read_keys(state))
    autoscaling, elbv2, ec2 = (access.client(name, reach) for name in ("autoscaling", "elbv2", "ec2"))
    try:
        groups = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        troubles = _troubles(ec2)
        services = {
            _service_of(group): _describe(group, elbv2, state, troubles) for group in groups if _service_of(group)
        }
    except (ClientError, BotoCoreError) as error:
        raise HomeportError(
            f"the region does not answer as it should: {error}",
            log=daemon.last_lines(state.region_log, 10),
            next_step="homeport region logs",
        ) from error
    return {"services": services, "driver": run.driver, "private_key": str(state.private_key)}


def living(state: StateFolder) -> Run:
    """Return the running region's facts.

    Raises:
        HomeportError: when no region runs, or its process has ended; then with what it left behind.
    """
    run = access.running(state)
    if daemon.alive(state) is None:
        raise HomeportError(
            f"the region's process {run.pid} has ended, and nobody replaces or scales its machines any more",
            log="\n".join(_still_up(state)),
            next_step="make up (starts fresh), make down (removes everything), homeport region logs (why)",
        )
    return run


def render(report: dict[str, Any]) -> str:
    """Return the report as lines for a person."""
    lines = []
    in_containers = report["driver"] == "container"
    for name, service in report["services"].items():
        lines.append(f"{name}  {service['url']}  desired {service['desired']}, healthy {service['healthy']}")
        lines += [f"  {trouble}" for trouble in service["troubles"]]
        lines += [
            f"  {i['id']}  {i['zone']}  {i['address']:<15}  {i['lifecycle']:<11}  {i['target']:<9}  "
            + (f"container homeport-{i['id']}" if in_containers else f"pid {i['pid']}")
            + (f"\n    {i['reason']}" if i["reason"] else "")
            for i in service["instances"]
        ]
    return "\n".join(lines) or "no service runs: the region is empty"


def consoles(state: StateFolder, report: dict[str, Any], lines: int = 8) -> str:
    """Return the last console lines of every instance that is not healthy."""
    ec2 = access.client("ec2", access.settings(access.running(state), access.read_keys(state)))
    found = []
    for service in report["services"].values():
        for instance in service["instances"]:
            if instance["target"] == "healthy":
                continue
            try:
                console = ec2.get_console_output(InstanceId=instance["id"])["Output"].splitlines()
            except (ClientError, BotoCoreError) as error:
                console = [str(error)]
            found += [f"{instance['id']}: {line}" for line in console[-lines:]]
    return "\n".join(found)


def _still_up(state: StateFolder) -> list[str]:
    machines = [entry for entry in Journal(state.journal).entries() if entry.kind not in ("region", "network", "image")]
    return [
        f"{entry.kind} {entry.id} at {entry.address}: "
        + (f"goes on serving, process {entry.pid}" if entry.running else "has ended")
        for entry in machines
    ] or ["no instance and no load balancer is left"]


def _service_of(group: dict[str, Any]) -> str:
    return next((tag["Value"] for tag in group["Tags"] if tag["Key"] == SERVICE_TAG), "")


def _troubles(ec2: Any) -> dict[str, str]:
    """Return why an instance is not as it should be, by its id."""
    found = {}
    for page in ec2.get_paginator("describe_instances").paginate():
        for instance in (one for reservation in page["Reservations"] for one in reservation["Instances"]):
            reason = instance.get("StateReason", {})
            if reason.get("Code", "").startswith("Server.") and instance["State"]["Name"] != "terminated":
                found[instance["InstanceId"]] = reason["Message"].removeprefix(f"{reason['Code']}: ")
    return found


def _describe(group: dict[str, Any], elbv2: Any, state: StateFolder, troubles: dict[str, str]) -> dict[str, Any]:
    targets: dict[str, str] = {}
    impaired: list[str] = []
    url = ""
    for arn in group["TargetGroupARNs"]:
        health = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        targets |= {h["Target"]["Id"]: h["TargetHealth"]["State"] for h in health}
        balancers = _balancers(elbv2, arn)
        url = url or _url(elbv2, balancers)
        reasons = [one["State"]["Reason"] for one in balancers if one["State"]["Code"] == "active_impaired"]
        impaired += [reason for reason in reasons if reason not in impaired]
    machines = {entry.id: entry for entry in Journal(state.journal).entries("instance")}
    instances = [
        {
            "id": instance["InstanceId"],
            "zone": instance["AvailabilityZone"],
            "address": machines[instance["InstanceId"]].address if instance["InstanceId"] in machines else "",
            "lifecycle": instance["LifecycleState"],
            "target": targets.get(instance["InstanceId"], "unused"),
            "pid": machines[instance["InstanceId"]].pid if instance["InstanceId"] in machines else 0,
            "reason": troubles.get(instance["InstanceId"], ""),
        }
        for instance in group["Instances"]
    ]
    healthy = [
        i
        for i in instances
        if (i["target"] == "healthy" or not group["TargetGroupARNs"]) and i["lifecycle"] == "InService"
    ]
    return {
        "url": url,
        "desired": group["DesiredCapacity"],
        "healthy": len(healthy),
        "instances": instances,
        "troubles": impaired,
    }


def _balancers(elbv2: Any, target_group: str) -> list[dict[str, Any]]:
    """Return the load balancers that forward to a target group."""
    arns = elbv2.describe_target_groups(TargetGroupArns=[target_group])["TargetGroups"][0]["LoadBalancerArns"]
    # Without any name all would be told.
    return list(elbv2.describe_load_balancers(LoadBalancerArns=arns)["LoadBalancers"]) if arns else []


def _url(elbv2: Any, balancers: list[dict[str, Any]]) -> str:
    """Return where the first of the load balancers that has a listener is reached, empty when none has."""
    for balancer in balancers:
        listeners = elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        for listener in sorted(listeners, key=lambda found: found["Protocol"], reverse=True):
            scheme, port = listener["Protocol"].lower(), listener["Port"]
            end = "" if (scheme, port) in (("http", 80), ("https", 443)) else f":{port}"
            return f"{scheme}://{balancer['DNSName']}{end}"
    return ""
