"""EC2's API for launch templates: each version keeps what it was given."""

from typing import Any

from homeport.region.ec2.launch_request import IOPS_TAKEN
from homeport.region.ec2.launch_template import find_version
from homeport.region.ec2.launched import FIELDS, PLACEMENT
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import EC2Response, parse_user_data


class LaunchTemplatesResponse(EC2Response):
    """moto keeps templates; user-data, source versions and the template's own tags it treats otherwise than EC2."""

    def create_launch_template(self) -> ActionResult:
        """Keep the template as given: moto adds the template's own tags to the tags of what is launched from it."""
        data = dict(self._get_param("LaunchTemplateData", {}))
        # None and nothing are the same to EC2.
        data["UserData"] = parse_user_data(data.get("UserData") or None)
        self.error_on_dryrun()
        template = self.ec2_backend.create_launch_template(
            self._get_param("LaunchTemplateName"),
            self._get_param("VersionDescription"),
            data,
            self._parse_tag_specification(),
        )
        version = template.default_version()
        created: dict[str, Any] = {
            "CreateTime": version.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": version.number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": template.tags,
        }
        return ActionResult({"LaunchTemplate": created})

    def create_launch_template_version(self) -> ActionResult:
        """Begin with the source version, and keep user-data as a first version does: moto does neither."""
        data = self._get_param("LaunchTemplateData", {})
        if "UserData" in data:
            data["UserData"] = parse_user_data(data["UserData"] or None)
        if source := self._get_param("SourceVersion"):
            named = {name: self._get_param(name) for name in ("LaunchTemplateName", "LaunchTemplateId")}
            for field, value in find_version(self.ec2_backend, named | {"Version": source}).data.items():
                data.setdefault(field, value)
        return super().create_launch_template_version()

    def get_launch_template_data(self) -> ActionResult:
        """Return a template's data that would launch such an instance again."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.error_on_dryrun()
        return ActionResult({"LaunchTemplateData": _data_of(instance)})


def _data_of(instance: Any) -> dict[str, Any]:
    volumes = instance.ec2_backend.volumes
    placement = {name: getattr(instance.placement, field, None) for name, field in PLACEMENT.items()}
    profile = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    data = {name: getattr(instance, field) for name, field in FIELDS.items()} | {
        "BlockDeviceMappings": [
            {
                "DeviceName": device,
                "Ebs": _ebs_of(volumes[attached.volume_id]) | {"DeleteOnTermination": attached.delete_on_termination},
            }
            for device, attached in instance.block_device_mapping.items()
        ],
        "DisableApiStop": instance.disable_api_stop,
        "DisableApiTermination": instance.disable_api_termination,
        "EbsOptimized": instance.ebs_optimized,
        "IamInstanceProfile": {"Arn": profile.iam_instance_profile.arn} if profile else None,
        "ImageId": instance.image_id,
        "InstanceInitiatedShutdownBehavior": instance.instance_initiated_shutdown_behavior,
        "InstanceType": instance.instance_type,
        "KernelId": instance.kernel_id,
        "KeyName": instance.key_name,
        "LicenseSpecifications": instance.licenses,
        "MetadataOptions": instance.metadata_options,
        "Monitoring": {"Enabled": instance.monitored},
        "NetworkInterfaces": [
            {
                "AssociatePublicIpAddress": bool(interface.public_ip_auto_assign),
                "DeleteOnTermination": interface.delete_on_termination,
                "Description": interface.description,
                "DeviceIndex": index,
                "Groups": [group.id for group in interface.group_set],
                "InterfaceType": interface.interface_type,
                "SubnetId": interface.subnet.id,
            }
            for index, interface in sorted(instance.nics.items())
        ],
        "Placement": placement | {"AvailabilityZone": instance.availability_zone},
        "RamDiskId": instance.ramdisk_id,
        "TagSpecifications": [
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": one["key"], "Value": one["value"]}
                    for one in instance.get_tags()
                    if not one["key"].startswith("aws:")
                ],
            }
        ],
        "UserData": instance.user_data,
    }
    return {name: value for name, value in data.items() if value not in (None, [], "")}


def _ebs_of(volume: Any) -> dict[str, Any]:
    return {
        "Encrypted": volume.encrypted,
        # Other types tell figures that follow from their size, and take none.
        "Iops": volume.iops if volume.volume_type in IOPS_TAKEN else None,
        "SnapshotId": volume.snapshot_id,
        "Throughput": volume.throughput,
        "VolumeSize": volume.size,
        "VolumeType": volume.volume_type,
    }
