"""Make a baked image known to the API: an image id, and the pointer of an environment."""

from pathlib import Path
from typing import Any

from homeport.region.machines.process import image_store


def pointer(environment: str) -> str:
    """Return the name of the parameter that holds an environment's image id."""
    return f"/homeport/{environment}/image"


def register_image(ec2: Any, ssm: Any, folder: Path, environment: str) -> str:
    """Register the image in ``folder`` and let ``environment`` point to it; return the image id.

    ``ec2`` and ``ssm`` are boto3 clients. An image that is registered already keeps its id. What EC2
    and SSM refuse comes as ``botocore.exceptions.ClientError``.
    """
    image = image_store.load(folder)
    image_id = _registered(ec2, image.manifest.name) or _register(ec2, image.manifest)
    # Before the pointer, so that whatever the pointer names can be launched.
    image_store.link(folder.parent, image_id, folder)
    point(ssm, environment, image_id)
    return image_id


def point(ssm: Any, environment: str, image_id: str) -> None:
    """Let ``environment`` point to an image; ``ssm`` is a boto3 client."""
    ssm.put_parameter(
        Name=pointer(environment),
        Value=image_id,
        Type="String",
        Overwrite=True,
        Description=f"The machine image of the environment {environment}",
    )


def _registered(ec2: Any, name: str) -> str:
    found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [name]}])["Images"]
    return str(found[0]["ImageId"]) if found else ""


def _register(ec2: Any, manifest: image_store.Manifest) -> str:
    answer = ec2.register_image(
        Name=manifest.name,
        Description=f"Homeport's services, Python {manifest.python}, built {manifest.built_at}",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
    )
    image_id = str(answer["ImageId"])
    tags = {"Name": manifest.name, "homeport:digest": manifest.digest, "homeport:revision": manifest.revision}
    ec2.create_tags(Resources=[image_id], Tags=[{"Key": key, "Value": value} for key, value in tags.items() if value])
    return image_id
