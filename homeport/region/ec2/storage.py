"""EC2's API for volumes and snapshots: what is attached, or an image is made of, stays."""

from homeport.region.ec2 import dependents
from homeport.region.ec2.in_use import listed
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import EC2ClientError, EC2Response


class StorageResponse(EC2Response):
    """Volumes and snapshots."""

    def attach_volume(self) -> ActionResult:
        """Attach a volume that is not attached yet."""
        self.error_on_dryrun()
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
        return super().attach_volume()

    def detach_volume(self) -> ActionResult:
        """Detach a volume that is not the root device of an instance that runs."""
        self.error_on_dryrun()
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        attached = volume.attachment
        if attached and attached.device == attached.instance.root_device_name and attached.instance.state != "stopped":
            raise EC2ClientError(
                "IncorrectState", f"Unable to detach root volume '{volume.id}' from instance '{attached.instance.id}'"
            )
        if attached:
            # EC2 can do without it.
            self.params.setdefault("InstanceId", attached.instance.id)
        return super().detach_volume()

    def delete_snapshot(self) -> ActionResult:
        """Delete a snapshot that no image is made of."""
        self.error_on_dryrun()
        snapshot_id = self._get_param("SnapshotId")
        users = list(dependents.of_snapshot(self.ec2_backend, snapshot_id))
        if users:
            raise EC2ClientError(
                "InvalidSnapshot.InUse", f"The snapshot {snapshot_id} is currently in use by {listed(users)}"
            )
        return super().delete_snapshot()
