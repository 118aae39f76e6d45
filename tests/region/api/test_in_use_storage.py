"""Volumes, snapshots and images."""

import pytest
from making import in_use_cases, kept_until_free

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_volumes_and_snapshots_in_use_are_kept_until_they_are_free(make, case, code):
    kept_until_free(make, case, code)


@used("VolumeInUse")
def volume_that_is_attached(make):
    instance = make.instance(make.subnet(make.vpc()))
    volume = make.volume()
    make.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    return lambda: make.ec2.delete_volume(VolumeId=volume), lambda: make.ec2.detach_volume(VolumeId=volume)


@used("VolumeInUse")
def volume_of_an_instance_that_ends(make):
    instance = make.instance(make.subnet(make.vpc()))
    volume = make.volume()
    make.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    return lambda: make.ec2.delete_volume(VolumeId=volume), lambda: make.terminate(instance)


@used("VolumeInUse")
def volume_that_another_instance_wants(make):
    subnet, volume = make.subnet(make.vpc()), make.volume()
    one, other = make.instance(subnet), make.instance(subnet)
    make.ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")
    return (
        lambda: make.ec2.attach_volume(VolumeId=volume, InstanceId=other, Device="/dev/sdf"),
        lambda: make.terminate(one),
    )


@used("IncorrectState")
def root_volume_of_a_running_instance(make):
    instance = make.instance(make.subnet(make.vpc()))
    root = make.account.instance(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    return lambda: make.ec2.detach_volume(VolumeId=root), lambda: make.stop(instance)


@used("InvalidSnapshot.InUse")
def snapshot_of_an_image(make):
    (mapping,) = make.account.image(make.image)["BlockDeviceMappings"]
    return (
        lambda: make.ec2.delete_snapshot(SnapshotId=mapping["Ebs"]["SnapshotId"]),
        lambda: make.ec2.deregister_image(ImageId=make.image),
    )


@used("InvalidSnapshot.InUse")
def snapshot_that_an_image_was_registered_with(make):
    snapshot = make.ec2.create_snapshot(VolumeId=make.volume())["SnapshotId"]
    image = make.ec2.register_image(
        Name="of a snapshot",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
    )["ImageId"]
    return (
        lambda: make.ec2.delete_snapshot(SnapshotId=snapshot),
        lambda: make.ec2.deregister_image(ImageId=image),
    )
