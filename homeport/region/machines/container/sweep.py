"""What regions of a state folder left in Docker and in the packet filter: found by label, and removed."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
from docker.errors import NotFound

from homeport.errors import HomeportError
from homeport.region.journal import Entry, Journal, Swept
from homeport.region.machines import console
from homeport.region.machines.container import driver as container
from homeport.region.machines.container import engine, guest
from homeport.region.machines.container import network as networks
from homeport.region.machines.container.network import REGION_LABEL, STATE_LABEL
from homeport.region.state import StateFolder

_KILLED = 137
_IMAGE_SECONDS = 60.0
"""How long Docker may take to finish an image that a region was making when it ended; it takes seconds."""


def sweep(state: StateFolder, *, grace: float = 10.0) -> list[Swept]:
    """Stop and remove the machines, images, rules and networks of this state folder, and what the journal says of them.

    Nothing that does not carry the folder's label, or the name of a region that does, is touched. Raises
    ``HomeportError`` when Docker does not answer though something must be there; the journal then stays.
    """
    journal = Journal(state.journal)
    expected = [entry for entry in journal.entries() if entry.in_docker]
    if not expected and not engine.reachable():
        return []
    try:
        client = engine.connect()
    except HomeportError as error:
        what = ", ".join(sorted(f"{entry.kind} {entry.id}" for entry in expected))
        raise HomeportError(f"{error.message}, so this cannot be removed: {what}", next_step=error.next_step) from error
    with contextlib.closing(client):
        swept = _sweep(client, state, expected, grace)
    for entry in expected:
        journal.forget(entry.kind, entry.id)
    return swept


def _sweep(client: docker.APIClient, state: StateFolder, expected: list[Entry], grace: float) -> list[Swept]:
    # Before the machines: one that is being made an image of is paused, and could not shut down.
    for entry in expected:
        if entry.kind == "image":
            _await_image(client, entry.extra["tag"])
    label = {"label": f"{STATE_LABEL}={state.root.resolve()}"}
    with engine.explained("list what the region left in Docker"):
        machines = client.containers(all=True, filters=label)
        bridges = client.networks(filters=label)
    regions = {one["Labels"][REGION_LABEL] for one in [*machines, *bridges]}
    regions |= {entry.id for entry in expected if entry.kind == "network"}
    with ThreadPoolExecutor(max_workers=16) as pool:
        swept = list(pool.map(lambda one: _remove_machine(client, state, one, grace), machines))
    for region_id in sorted(regions):
        swept += _remove_images(client, region_id)
        if networks.remove_rules(region_id):
            swept.append(Swept("rules", region_id, holder="the packet filter"))
    for one in bridges:
        networks.remove(client, one["Name"])
        subnet = one["IPAM"]["Config"][0]["Subnet"]
        swept.append(Swept("network", one["Labels"][REGION_LABEL], address=subnet, holder=one["Name"]))
    return swept


def _await_image(client: docker.APIClient, tag: str) -> None:
    """Wait until Docker has made an image that nobody can call off; one that failed is waited for in vain."""
    deadline = time.monotonic() + _IMAGE_SECONDS
    with engine.explained(f"look for image {tag}"):
        while not client.images(tag) and time.monotonic() < deadline:
            time.sleep(0.2)


def _remove_machine(client: docker.APIClient, state: StateFolder, one: dict[str, Any], grace: float) -> Swept:
    name, labels = one["Names"][0].lstrip("/"), one["Labels"]
    instance_id = labels[guest.INSTANCE_LABEL]
    was_running, killed = one["State"] == "running", False
    with engine.explained(f"stop {name}"), contextlib.suppress(NotFound):
        if was_running:
            client.stop(name, timeout=int(grace))
            killed = client.inspect_container(name)["State"]["ExitCode"] == _KILLED
    container.remove(client, name)
    if (state.instances / instance_id).is_dir():
        console.note(state.instances / instance_id, "removed with its region")
    return Swept(
        "instance",
        instance_id,
        address=labels.get(guest.ADDRESS_LABEL, ""),
        was_running=was_running,
        graceful=not killed,
        holder=f"container {name}",
    )


def _remove_images(client: docker.APIClient, region_id: str) -> list[Swept]:
    removed = []
    with engine.explained(f"remove the images of region {region_id}"):
        for image in client.images(name=guest.image_repository(region_id)):
            for tag in image.get("RepoTags") or []:
                with contextlib.suppress(NotFound):
                    client.remove_image(tag, force=True)
                removed.append(Swept("image", tag.rpartition(":")[2], holder=tag))
    return removed
