"""Bake the machine image: what instances of the ``container`` driver boot, and on AWS all of them."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from homeport.errors import HomeportError
from homeport.images import packer, recipe
from homeport.images.commands import run
from homeport.images.container import build_container
from homeport.images.register import point
from homeport.region import access
from homeport.system.drafts import draft

REPOSITORY = "homeport/machine"
"""Docker's name for baked machines; a tag is the digest's first twelve digits. They outlive the region."""
BASE = "homeport/debian:12"
BUILDER_TAG = {"Name": "tag:homeport:role", "Values": ["image-builder"]}
"""How EC2 finds the machines that a bake runs on (packer/amazon.pkr.hcl)."""
_DRAFT = ".bake-"

Say = Callable[[str], None]


def bake(
    repository: Path,
    cache: Path,
    reach: Mapping[str, str],
    region_id: str,
    environment: str,
    *,
    again: bool = False,
    on_step: Say = lambda _: None,
) -> str:
    """Have the machine image of ``repository`` in the region, let ``environment`` point to it; return its id.

    The image is named by its content: one that the region has is taken, else one that was baked for another
    region of this machine, else it is baked, with Packer's EC2 builder on a machine of the region. ``reach`` are the
    settings that lead to the region (``homeport.region.access``); ``cache`` outlives it. ``again`` bakes whatever is
    there: the same content on the distribution's packages of today.

    Raises ``HomeportError``. An interrupted bake leaves nothing; what a killed one left the next one removes.
    """
    ec2 = access.client("ec2", reach)
    with draft(
        cache, _DRAFT, lock=".machine.lock", on_wait=lambda: on_step("waiting for another bake on this machine")
    ) as baking:
        base = _base(repository, on_step)
        archive = build_container(repository / "app", cache, on_step=on_step)
        digest = recipe.digest(repository, base=base, archive=archive.path)
        name, tag = f"homeport-machine-{digest[:12]}", f"{REPOSITORY}:{digest[:12]}"
        image_id = "" if again else _newest(ec2, {"Name": "tag:homeport:digest", "Values": [digest]})
        if image_id:
            on_step(f"image {name} is there already")
        elif not again and _exists(tag):
            on_step(f"image {name} was baked before")
            image_id = _import(ec2, name, tag, digest)
        else:
            on_step(f"baking image {name}")
            _clear_killed(ec2, on_step)
            source = f"debian-12-amd64-{base}"
            if not _newest(ec2, {"Name": "name", "Values": [source]}):
                _import(ec2, source, BASE, base)
            image_id = _bake(
                repository,
                baking,
                reach,
                digest=digest,
                environment=environment,
                archive=archive.path,
                source=source,
                on_step=on_step,
            )
        # Also when it was there: the bake that made it may have been killed before it came to this.
        _docker("tag", f"homeport/region-{region_id}:{image_id}", tag)
    point(access.client("ssm", reach), environment, image_id)
    return image_id


def _bake(
    repository: Path,
    baking: Path,
    reach: Mapping[str, str],
    *,
    digest: str,
    environment: str,
    archive: Path,
    source: str,
    on_step: Say,
) -> str:
    collections = repository / "scripts" / "collections"
    run([str(collections)], "Ansible's collections cannot be had", f"mend what the lines above say: {collections}")
    manifest = baking / "packer-manifest.json"
    variables = {
        "digest": digest,
        "environment": environment,
        "service_image_archive": str(archive),
        "manifest": str(manifest),
        "region": reach["AWS_REGION"],
        "source_ami_owners": json.dumps(["self"]),
        "source_ami_name": source,
        # What can be reached from here is the machine's own address.
        "ssh_interface": "private_ip",
    }
    # The region is on this machine: it need not be spared.
    settings = dict(reach) | {"AWS_POLL_DELAY_SECONDS": "1"}
    log = baking.parent / f"homeport-machine-{digest[:12]}.log"
    packer.build(repository, "amazon-ebs.machine", variables, settings, log, on_step=on_step)
    return packer.image_id(manifest)


def _base(repository: Path, on_step: Say) -> str:
    """Have the container image to build upon, and return its recipe."""
    on_step(f"looking for {BASE}; packer/debian/build makes it when it is missing")
    command = repository / "packer" / "debian" / "build"
    if not command.is_file():
        raise HomeportError(f"{command} is missing", next_step="run this in a complete clone of the repository")
    run([str(command)], f"{BASE} cannot be made", "mend what the lines above say, then run it again")
    found = _docker("image", "inspect", "--format", '{{ index .Config.Labels "homeport.recipe" }}', BASE)
    return found.strip()


def _newest(ec2: Any, described: dict[str, Any]) -> str:
    """Return the id of the account's newest image that a filter describes; those that failed are removed."""
    usable = []
    for image in ec2.describe_images(Owners=["self"], Filters=[described])["Images"]:
        if image["State"] == "available":
            usable.append((image["CreationDate"], str(image["ImageId"])))
        elif image["State"] == "failed":
            ec2.deregister_image(ImageId=image["ImageId"])
    return max(usable)[1] if usable else ""


def _import(ec2: Any, name: str, tag: str, digest: str) -> str:
    """Register a container image of this machine, and wait until it can be launched."""
    tags = {"Name": name, "Project": "homeport", "homeport:digest": digest}
    answer = ec2.register_image(
        Name=name,
        Description=f"The container image {tag}",
        ImageLocation=tag,
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
        # At once: without its digest it would not be found again, and would keep its name from the next one.
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )
    image_id = str(answer["ImageId"])
    try:
        ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    except WaiterError as error:
        (image,) = ec2.describe_images(ImageIds=[image_id])["Images"]
        reason = image.get("StateReason", {}).get("Message") or f"it is {image['State']} still"
        raise HomeportError(
            f"{tag} cannot be registered as image {name}: {reason}", next_step="docker images; then run it again"
        ) from error
    return image_id


def _clear_killed(ec2: Any, on_step: Say) -> None:
    """Remove the machines of bakes that were killed, with the keys and groups that Packer made for them."""
    states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    answer = ec2.describe_instances(Filters=[BUILDER_TAG, states])
    left = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
    if not left:
        return
    ids = [instance["InstanceId"] for instance in left]
    on_step(f"removing what a killed bake left: {', '.join(ids)}")
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    for instance in left:
        if instance.get("KeyName", "").startswith("packer_"):
            ec2.delete_key_pair(KeyName=instance["KeyName"])
        for group in instance.get("SecurityGroups", []):
            if group["GroupName"].startswith("packer_"):
                ec2.delete_security_group(GroupId=group["GroupId"])


def _exists(tag: str) -> bool:
    return bool(_docker("image", "ls", "--quiet", tag).strip())


def _docker(*arguments: str) -> str:
    if shutil.which("docker") is None:
        raise HomeportError("docker is not installed", next_step="apt-get install docker.io")
    command = ["docker", *arguments]
    return run(command, f"docker {arguments[0]} failed", "see the lines above; docker info tells more").stdout
