"""EC2's API for images: moto keeps names and permissions, the driver the file systems, and states tell of both."""

import re
from typing import Any

from homeport.region.ec2 import dependents
from homeport.region.ec2.image import ROOT_DEVICE, Image, devices_of, find_image
from homeport.region.ec2.image_jobs import ImageJobs
from homeport.region.ec2.launch_template import merge_devices
from homeport.region.from_moto.core import ActionResult, EmptyResult, utcnow
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response, random_ami_id

_NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")


class ImagesResponse(EC2Response):
    """Images are pending until the driver has them; what it cannot make is failed, and says why."""

    jobs: ImageJobs

    def create_image(self) -> ActionResult:
        """Make an image of an instance; one that runs is rebooted, unless ``NoReboot`` says otherwise."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is {instance.state}: images are made of what runs or is stopped.",
            )
        image = self._add(
            root_device=instance.root_device_name or ROOT_DEVICE,
            architecture=instance.architecture or "x86_64",
            mappings=merge_devices(devices_of(instance), self._get_param("BlockDeviceMappings", [])),
            source_instance=instance,
        )
        reboots = instance.state == "running" and not self._get_bool_param("NoReboot")
        self.jobs.create(image, instance, reboot=reboots)
        return ActionResult({"ImageId": image.id})

    def register_image(self) -> ActionResult:
        """Make an image known; ``ImageLocation`` names what the driver takes it from."""
        location = self._get_param("ImageLocation", "")
        image = self._add(
            location=location,
            state="pending" if location else "available",
            architecture=self._get_param("Architecture", "x86_64"),
            root_device=self._get_param("RootDeviceName", ROOT_DEVICE),
            mappings=self._get_param("BlockDeviceMappings", []),
        )
        image.imds_support = self._get_param("ImdsSupport")
        if location:
            self.jobs.take(image, location)
        return ActionResult({"ImageId": image.id})

    def copy_image(self) -> ActionResult:
        """Make an image of another one; all of them are in this region."""
        region = self._get_param("SourceRegion")
        if region != self.region:
            raise EC2ClientError("InvalidRequest", f"There are no images in {region}: this region is {self.region}.")
        source = find_image(self.ec2_backend, self._get_param("SourceImageId"))
        if source.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{source.id}]' is {source.state}")
        encrypted = {"Encrypted": True} if self._get_bool_param("Encrypted") else {}
        image = self._add(
            architecture=source.architecture or "x86_64",
            root_device=source.root_device_name,
            mappings=[
                {**one, "Ebs": one["Ebs"] | encrypted | {"SnapshotId": None}} if "Ebs" in one else one
                for one in source.block_device_mappings
            ],
            source_image=source,
        )
        if self._get_bool_param("CopyImageTags"):
            image.add_tags({tag["key"]: tag["value"] for tag in source.get_tags() if not tag["key"].startswith("aws:")})
        self.jobs.take(image, source.id)
        return ActionResult({"ImageId": image.id})

    def deregister_image(self) -> ActionResult:
        """Forget an image, the driver's too; machines that were launched from it go on."""
        image = find_image(self.ec2_backend, self._get_param("ImageId"))
        self.error_on_dryrun()
        self.ec2_backend.deregister_image(image.id)
        self.jobs.remove(image.id)
        deleted = []
        for snapshot_id in image.snapshot_ids if self._get_bool_param("DeleteAssociatedSnapshots") else ():
            if any(dependents.of_snapshot(self.ec2_backend, snapshot_id)):
                deleted.append({"SnapshotId": snapshot_id, "ReturnCode": "skipped"})
            elif self.ec2_backend.snapshots.pop(snapshot_id, None):
                deleted.append({"SnapshotId": snapshot_id, "ReturnCode": "success"})
        return ActionResult({"Return": True, "DeleteSnapshotResults": deleted})

    def describe_images(self) -> ActionResult:
        """List images; moto would take ids for enough, and leave the filters out."""
        self.error_on_dryrun()
        wanted = [find_image(self.ec2_backend, one).id for one in self._get_param("ImageIds", [])]
        images = self.ec2_backend.describe_images(
            filters=self._filters_from_querystring(),
            exec_users=self._get_param("ExecutableUsers", []),
            owners=self._get_param("Owners", []),
        )
        return ActionResult({"Images": [image for image in images if not wanted or image.id in wanted]})

    def describe_image_attribute(self) -> ActionResult:
        """Tell one attribute of an image."""
        image = find_image(self.ec2_backend, self._get_param("ImageId"))
        if self._get_param("Attribute") == "description":
            return ActionResult({"ImageId": image.id, "Description": {"Value": image.description or ""}})
        return super().describe_image_attribute()

    def modify_image_attribute(self) -> ActionResult:
        """Change the description, or who may launch an image."""
        image = find_image(self.ec2_backend, self._get_param("ImageId"))
        described, name = self._get_param("Description.Value"), self._get_param("Attribute")
        if described is None and name == "description":
            described = self._get_param("Value", "")
        imds = self._get_param("ImdsSupport.Value")
        if described is None and imds is None:
            return super().modify_image_attribute()
        self.error_on_dryrun()
        if described is not None:
            image.description = described
        if imds is not None:
            image.imds_support = imds
        return EmptyResult()

    def reset_image_attribute(self) -> ActionResult:  # type: ignore[override]  # moto's raises, and is no answer
        """Take back who may launch an image."""
        image = find_image(self.ec2_backend, self._get_param("ImageId"))
        self.error_on_dryrun()
        image.launch_permissions.clear()
        return ActionResult({"Return": True})

    def enable_image_deprecation(self) -> ActionResult:
        """Say when an image is out of use: it can still be launched by id, as in EC2."""
        image = find_image(self.ec2_backend, self._get_param("ImageId"))
        when = self._get_param("DeprecateAt")
        if when is None:
            raise EC2ClientError("MissingParameter", "The request must contain the parameter DeprecateAt")
        if when.replace(tzinfo=None) <= utcnow().replace(tzinfo=None):
            raise EC2ClientError("InvalidParameterValue", "The deprecation date must be in the future.")
        self.error_on_dryrun()
        image.deprecation_time = when.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return ActionResult({"Return": True})

    def disable_image_deprecation(self) -> ActionResult:
        """Take back when an image is out of use."""
        image = find_image(self.ec2_backend, self._get_param("ImageId"))
        self.error_on_dryrun()
        image.deprecation_time = None
        return ActionResult({"Return": True})

    def _add(self, **facts: Any) -> Image:
        """Make the API's side of an image from the request's name, description and tags, and what is given."""
        name = self._get_param("Name", "")
        if not _NAME.fullmatch(name):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "'(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'",
            )
        for other in self.ec2_backend.amis.values():
            if other.name == name and other.owner_id == self.current_account:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {other.id}")
        tags = self._image_tags()
        self.error_on_dryrun()
        image = Image(
            self.ec2_backend, random_ami_id(), name=name, description=self._get_param("Description", ""), **facts
        )
        self.ec2_backend.amis[image.id] = image
        image.add_tags(tags.get("image", {}))
        for snapshot_id in image.snapshot_ids:
            self.ec2_backend.snapshots[snapshot_id].add_tags(tags.get("snapshot", {}))
        return image

    def _image_tags(self) -> dict[str, dict[str, str]]:
        tags = self._parse_tag_specification()
        for kind in tags:
            if kind not in ("image", "snapshot"):
                raise EC2ClientError(
                    "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
                )
        return tags
