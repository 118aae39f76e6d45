"""An image as EC2's API shows it: its file system is the driver's, everything else is kept here."""

from collections.abc import Iterable, Mapping
from typing import Any

from homeport.region.ec2.launch_template import merge_devices
from homeport.region.from_moto.ec2 import Ami, EC2ClientError, Instance, StateReason

ROOT_DEVICE = "/dev/xvda"
VOLUME_GIB = 8

Mappings = Iterable[Mapping[str, Any]]


class Image(Ami):
    """moto's image with what moto forgets: devices with a snapshot each, the reason of a failure, the end of use."""

    def __init__(
        self,
        backend: Any,
        image_id: str,
        *,
        name: str,
        description: str = "",
        location: str = "",
        state: str = "pending",
        architecture: str = "x86_64",
        root_device: str = ROOT_DEVICE,
        mappings: Mappings = (),
        source_instance: Instance | None = None,
        source_image: "Ami | None" = None,
    ) -> None:
        super().__init__(
            backend,
            image_id,
            name=name,
            description=description,
            state=state,
            virtualization_type="hvm",
            architecture=architecture,
            image_location=location or f"{backend.account_id}/{name}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=root_device,
            boot_mode="uefi-preferred",
        )
        self.instance_id = source_instance.id if source_instance else None
        self.source_image_id = source_image.id if source_image else None
        self.source_image_region = backend.region_name if source_image else None
        self.state_reason: StateReason | None = None
        self.deprecation_time: str | None = None
        self.ena_support = True
        self.sriov_net_support = "simple"
        self.imds_support: str | None = None
        self.platform_details = "Linux/UNIX"
        self.usage_operation = "RunInstances"
        # moto's own snapshot is of a volume that nobody asked for.
        del backend.snapshots[self.ebs_snapshot.id]
        self._mappings = [self._with_snapshot(mapping) for mapping in _complete(mappings, root_device)]

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """What a machine gets that is launched from the image."""
        return self._mappings

    @property
    def snapshot_ids(self) -> list[str]:
        """The snapshots that the image is made of."""
        return [mapping["Ebs"]["SnapshotId"] for mapping in self._mappings if "Ebs" in mapping]

    @property
    def public(self) -> bool:
        """Whether every account may launch it."""
        return self.is_public

    def finish(self, failure: str = "") -> None:
        """Say that the driver has the image, or why it has not."""
        self.state = "failed" if failure else "available"
        if failure:
            self.state_reason = StateReason(failure, "Server.InternalError")
        for snapshot_id in self.snapshot_ids:
            if snapshot := self.ec2_backend.snapshots.get(snapshot_id):
                snapshot.status = "error" if failure else "completed"

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """Return what ``DescribeImages`` compares a filter with."""
        own = {
            "image-type": self.image_type,
            "hypervisor": self.hypervisor,
            "description": self.description or "",
            "ena-support": self.ena_support,
            "root-device-name": self.root_device_name,
            "root-device-type": self.root_device_type,
            "creation-date": self.creation_date,
            "block-device-mapping.device-name": [one["DeviceName"] for one in self._mappings],
            "block-device-mapping.snapshot-id": self.snapshot_ids,
            "block-device-mapping.volume-type": [one["Ebs"]["VolumeType"] for one in self._mappings if "Ebs" in one],
            "source-image-id": self.source_image_id or "",
        }
        return own[filter_name] if filter_name in own else super().get_filter_value(filter_name, method_name)

    def _with_snapshot(self, mapping: Mapping[str, Any]) -> dict[str, Any]:
        if "Ebs" not in mapping:
            return dict(mapping)
        given = {key: value for key, value in mapping["Ebs"].items() if value is not None}
        ebs = {"VolumeType": "gp3", "DeleteOnTermination": True, "Encrypted": False} | given
        ebs.setdefault("VolumeSize", VOLUME_GIB)
        if ebs.get("SnapshotId") not in self.ec2_backend.snapshots:
            volume = self.ec2_backend.create_volume(
                size=int(ebs["VolumeSize"]), zone_name=None, encrypted=bool(ebs["Encrypted"])
            )
            snapshot = self.ec2_backend.create_snapshot(
                volume.id, f"Created by Homeport for {self.id}", self.owner_id, from_ami=self.id
            )
            snapshot.status = "completed" if self.state == "available" else "pending"
            self.ec2_backend.delete_volume(volume.id)
            ebs["SnapshotId"] = snapshot.id
        return {"DeviceName": mapping["DeviceName"], "Ebs": ebs}


def find_image(backend: Any, image_id: str | None) -> Image:
    """Return an image, or raise what EC2 answers for an id that names none."""
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    if not image_id.startswith("ami-"):
        raise EC2ClientError("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    image = backend.amis.get(image_id)
    if image is None:
        raise EC2ClientError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    found: Image = image
    return found


def devices_of(instance: Instance) -> list[dict[str, Any]]:
    """Return the mapping that an image of the instance begins with: its volumes, as they are."""
    mappings = []
    for device, attached in instance.block_device_mapping.items():
        volume = instance.ec2_backend.volumes[attached.volume_id]
        ebs = {
            "VolumeSize": volume.size,
            "VolumeType": volume.volume_type,
            "Encrypted": volume.encrypted,
            "DeleteOnTermination": attached.delete_on_termination,
        }
        mappings.append({"DeviceName": device, "Ebs": ebs})
    return mappings


def _complete(mappings: Mappings, root_device: str) -> list[dict[str, Any]]:
    """Return the mappings with the root device among them."""
    return merge_devices([{"DeviceName": root_device, "Ebs": {}}], mappings)
