from datetime import UTC, datetime, timedelta

import pytest
from asking import refused, running

from homeport.errors import HomeportError
from homeport.images import machine
from tests.polling import eventually


def settled(account, image):
    return eventually(lambda: (found := account.image(image))["State"] != "pending" and found)


ALL = {"debian-12", "debian-13", "other"}


def test_only_own_images_are_there(account, base):
    assert [one["ImageId"] for one in account.ec2.describe_images()["Images"]] == [base]
    assert [one["ImageId"] for one in account.ec2.describe_images(Owners=["self"])["Images"]] == [base]
    assert account.ec2.describe_images(Owners=["amazon"])["Images"] == []
    assert len(account.ec2.describe_snapshots()["Snapshots"]) == 1


def test_a_registered_image_is_shown_as_it_was_registered(account):
    image = account.ec2.register_image(
        Name="debian-12-amd64",
        Description="plain",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
        EnaSupport=True,
        ImdsSupport="v2.0",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10, "VolumeType": "gp3", "Encrypted": True}},
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 2, "DeleteOnTermination": False}},
        ],
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "c", "Value": "d"}]},
        ],
    )["ImageId"]
    found = account.image(image)
    shown = {
        "Name": "debian-12-amd64", "Description": "plain", "State": "available", "Architecture": "x86_64",
        "RootDeviceName": "/dev/xvda", "RootDeviceType": "ebs", "VirtualizationType": "hvm", "EnaSupport": True,
        "ImdsSupport": "v2.0", "OwnerId": "123456789012", "Public": False, "Tags": [{"Key": "a", "Value": "b"}],
        "ImageLocation": "123456789012/debian-12-amd64", "ImageType": "machine", "Hypervisor": "xen",
    }  # fmt: skip
    assert {key: found.get(key) for key in shown} == shown
    root, other = found["BlockDeviceMappings"]
    assert (root["DeviceName"], other["DeviceName"]) == ("/dev/xvda", "/dev/sdf")
    assert (root["Ebs"]["VolumeSize"], root["Ebs"]["Encrypted"], root["Ebs"]["DeleteOnTermination"]) == (10, True, True)
    assert (other["Ebs"]["VolumeSize"], other["Ebs"]["DeleteOnTermination"]) == (2, False)
    ids = [root["Ebs"]["SnapshotId"], other["Ebs"]["SnapshotId"]]
    snapshots = account.ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"]
    assert [(one["State"], one["Tags"]) for one in snapshots] == [("completed", [{"Key": "c", "Value": "d"}])] * 2
    assert account.driver.calls == []


def test_a_location_is_imported_in_the_background(account):
    account.driver.may_go_on.clear()
    image = account.ec2.register_image(Name="debian-12", ImageLocation="homeport/debian:12")["ImageId"]
    assert account.image(image)["State"] == "pending"
    assert account.image(image)["ImageLocation"] == "homeport/debian:12"
    refused("InvalidAMIID.Unavailable", account.ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1)
    account.driver.may_go_on.set()
    assert settled(account, image)["State"] == "available"
    assert account.driver.asked("import_image") == [("homeport/debian:12", image)]
    account.ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_a_location_that_is_not_there_is_told(account):
    image = account.ec2.register_image(Name="debian-12", ImageLocation="nothing/there:1")["ImageId"]
    found = settled(account, image)
    assert found["State"] == "failed"
    assert found["StateReason"]["Message"] == "Docker has no image nothing/there:1"


@pytest.mark.parametrize("name", ["   \t", "x" * 127 + "é", "a*b", "naïve"])
def test_bad_names_are_refused(account, name):
    refused("InvalidAMIName.Malformed", account.ec2.register_image, Name=name)
    assert account.ec2.describe_images()["Images"] == []


def test_a_name_is_given_once(account, base):
    assert base in refused("InvalidAMIName.Duplicate", account.ec2.register_image, Name="debian-12")
    account.ec2.deregister_image(ImageId=base)
    assert account.ec2.register_image(Name="debian-12")["ImageId"] != base


def test_an_image_of_a_running_instance_reboots_it(account, base):
    instance = running(account, base)
    account.driver.may_go_on.clear()
    image = account.ec2.create_image(
        InstanceId=instance,
        Name="baked",
        Description="with all in it",
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["ImageId"]
    found = account.image(image)
    assert (found["State"], found["SourceInstanceId"], found["Description"]) == ("pending", instance, "with all in it")
    (snapshot,) = account.ec2.describe_snapshots(SnapshotIds=[found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]])[
        "Snapshots"
    ]
    assert snapshot["State"] == "pending"
    account.driver.may_go_on.set()
    found = settled(account, image)
    assert (found["State"], found["Tags"]) == ("available", [{"Key": "a", "Value": "b"}])
    assert account.ec2.describe_snapshots(SnapshotIds=[snapshot["SnapshotId"]])["Snapshots"][0]["State"] == "completed"
    assert not account.driver.lock_was_held
    eventually(lambda: [call[0] for call in account.driver.calls] == ["launch", "create_image", "stop", "launch"])
    assert account.instance(instance)["State"]["Name"] == "running"
    assert account.instance(running(account, image))["ImageId"] == image


def test_without_a_reboot_the_instance_goes_on(account, base):
    instance = running(account, base)
    image = account.ec2.create_image(InstanceId=instance, Name="baked", NoReboot=True)["ImageId"]
    assert settled(account, image)["State"] == "available"
    assert [call[0] for call in account.driver.calls] == ["launch", "create_image"]


def test_an_image_of_a_stopped_instance(account, base):
    instance = running(account, base)
    account.driver.may_go_on.clear()
    account.ec2.stop_instances(InstanceIds=[instance])
    refused("IncorrectInstanceState", account.ec2.create_image, InstanceId=instance, Name="early")
    account.driver.may_go_on.set()
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    image = account.ec2.create_image(InstanceId=instance, Name="baked")["ImageId"]
    assert settled(account, image)["State"] == "available"
    assert account.instance(instance)["State"]["Name"] == "stopped"
    assert account.driver.asked("discard") == []
    account.ec2.start_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(HomeportError("the disk is full"), "the disk is full"), (OSError("broken"), "OSError: broken")],
)
def test_an_image_that_cannot_be_made_has_failed_and_says_why(account, base, fault, reason):
    instance = running(account, base)
    account.driver.fault = fault
    image = account.ec2.create_image(InstanceId=instance, Name="baked", NoReboot=True)["ImageId"]
    found = settled(account, image)
    assert (found["State"], found["StateReason"]["Message"]) == ("failed", reason)
    assert account.ec2.describe_snapshots(Filters=[{"Name": "status", "Values": ["error"]}])["Snapshots"]
    refused("InvalidAMIID.Unavailable", account.ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1)
    account.driver.fault = None
    account.ec2.deregister_image(ImageId=image)
    again = account.ec2.create_image(InstanceId=instance, Name="baked", NoReboot=True)["ImageId"]
    assert settled(account, again)["State"] == "available"


def test_no_image_is_made_of_what_is_not_there(account, base):
    refused("InvalidInstanceID.NotFound", account.ec2.create_image, InstanceId="i-0123456789abcdef0", Name="baked")
    instance = running(account, base)
    account.ec2.terminate_instances(InstanceIds=[instance])
    refused("IncorrectInstanceState", account.ec2.create_image, InstanceId=instance, Name="baked")
    refused("DryRunOperation", account.ec2.register_image, Name="baked", DryRun=True)
    assert len(account.ec2.describe_images()["Images"]) == 1


def test_a_deregistered_image_is_gone_and_its_snapshot_can_be_deleted(account, base):
    snapshot = account.image(base)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    refused("InvalidSnapshot.InUse", account.ec2.delete_snapshot, SnapshotId=snapshot)
    account.ec2.deregister_image(ImageId=base)
    eventually(lambda: account.driver.asked("remove_image") == [(base,)])
    for call in (account.ec2.describe_images, account.ec2.deregister_image, account.ec2.modify_image_attribute):
        arguments = {"ImageIds": [base]} if call == account.ec2.describe_images else {"ImageId": base}
        refused("InvalidAMIID.NotFound", call, **arguments)
    refused("InvalidAMIID.NotFound", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1)
    account.ec2.delete_snapshot(SnapshotId=snapshot)
    assert account.ec2.describe_snapshots()["Snapshots"] == []


def test_snapshots_go_with_the_image_where_that_is_asked(account, base):
    account.ec2.deregister_image(ImageId=base, DeleteAssociatedSnapshots=True)
    assert account.ec2.describe_snapshots()["Snapshots"] == []


def test_what_is_deregistered_while_it_is_made_is_removed_once_it_is_there(account, base):
    instance = running(account, base)
    account.driver.may_go_on.clear()
    image = account.ec2.create_image(InstanceId=instance, Name="baked", NoReboot=True)["ImageId"]
    account.ec2.deregister_image(ImageId=image)
    account.driver.may_go_on.set()
    eventually(lambda: account.driver.asked("remove_image") == [(image,)])
    assert account.driver.asked("create_image") == [(instance, image)]


def test_a_copy_is_an_image_of_its_own(account, base):
    account.ec2.create_tags(Resources=[base], Tags=[{"Key": "a", "Value": "b"}])
    copy = account.ec2.copy_image(
        Name="encrypted", SourceImageId=base, SourceRegion="eu-central-1", Encrypted=True, CopyImageTags=True
    )["ImageId"]
    found = settled(account, copy)
    assert (found["State"], found["SourceImageId"], found["Tags"]) == ("available", base, [{"Key": "a", "Value": "b"}])
    assert account.driver.asked("import_image") == [(base, copy)]
    (mapping,), (source,) = found["BlockDeviceMappings"], account.image(base)["BlockDeviceMappings"]
    assert mapping["Ebs"]["Encrypted"]
    assert mapping["Ebs"]["SnapshotId"] != source["Ebs"]["SnapshotId"]
    account.ec2.deregister_image(ImageId=base)
    assert account.image(copy)["State"] == "available"
    refused("InvalidRequest", account.ec2.copy_image, Name="far", SourceImageId=copy, SourceRegion="eu-west-1")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"name": ["debian-*"]}, {"debian-12", "debian-13"}),
        ({"name": ["debian-1?"], "architecture": ["x86_64"], "root-device-type": ["ebs"]}, {"debian-12", "debian-13"}),
        ({"name": ["debian-12", "other"]}, {"debian-12", "other"}),
        ({"name": ["Debian-*"]}, set()),
        ({"tag:kind": ["plain"]}, {"debian-13"}),
        ({"state": ["available"], "virtualization-type": ["hvm"], "is-public": ["false"]}, ALL),
        ({"ena-support": ["true"], "image-type": ["machine"], "hypervisor": ["xen"]}, ALL),
        ({"owner-id": ["999999999999"]}, set()),
        ({"block-device-mapping.volume-type": ["gp3"]}, ALL),
    ],
)
def test_images_are_found_by_filters(account, filters, found):
    for name in sorted(ALL):
        account.ec2.register_image(Name=name)
    (newest,) = account.ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-13"]}])["Images"]
    account.ec2.create_tags(Resources=[newest["ImageId"]], Tags=[{"Key": "kind", "Value": "plain"}])
    answer = account.ec2.describe_images(
        Owners=["self"], Filters=[{"Name": name, "Values": values} for name, values in filters.items()]
    )
    assert {one["Name"] for one in answer["Images"]} == found


def test_ids_and_filters_hold_together(account, base):
    other = account.ec2.register_image(Name="other")["ImageId"]
    named = [{"Name": "name", "Values": ["other"]}]
    assert account.ec2.describe_images(ImageIds=[base], Filters=named)["Images"] == []
    assert len(account.ec2.describe_images(ImageIds=[base, other], Filters=named)["Images"]) == 1
    refused("InvalidAMIID.Malformed", account.ec2.describe_images, ImageIds=["image-1"])


def test_an_end_of_use_is_shown_and_taken_back(account, base):
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    account.ec2.enable_image_deprecation(ImageId=base, DeprecateAt=end)
    shown = account.image(base)["DeprecationTime"]
    assert datetime.fromisoformat(shown.replace("Z", "+00:00")) == end
    account.ec2.disable_image_deprecation(ImageId=base)
    assert "DeprecationTime" not in account.image(base)
    past = datetime.now(UTC) - timedelta(days=1)
    refused("InvalidParameterValue", account.ec2.enable_image_deprecation, ImageId=base, DeprecateAt=past)


def test_description_and_permissions_can_be_changed(account, base):
    account.ec2.modify_image_attribute(ImageId=base, Description={"Value": "new"})
    assert account.image(base)["Description"] == "new"
    shown = account.ec2.describe_image_attribute(ImageId=base, Attribute="description")
    assert shown["Description"] == {"Value": "new"}
    account.ec2.modify_image_attribute(ImageId=base, LaunchPermission={"Add": [{"UserId": "111111111111"}]})
    shown = account.ec2.describe_image_attribute(ImageId=base, Attribute="launchPermission")
    assert shown["LaunchPermissions"] == [{"UserId": "111111111111"}]
    account.ec2.modify_image_attribute(ImageId=base, LaunchPermission={"Add": [{"Group": "all"}]})
    assert account.image(base)["Public"]
    account.ec2.reset_image_attribute(ImageId=base, Attribute="launchPermission")
    assert not account.image(base)["Public"]


def test_a_bake_that_is_interrupted_once_it_registered_an_image_finds_it_again(account):
    def interrupt(model, **_):
        if model.name != "RegisterImage":
            raise KeyboardInterrupt

    account.ec2.meta.events.register("before-call.ec2", interrupt)
    with pytest.raises(KeyboardInterrupt):
        machine._import(account.ec2, "homeport-machine-0123", "homeport/machine:0123", "0123")
    account.ec2.meta.events.unregister("before-call.ec2", interrupt)
    eventually(lambda: machine._newest(account.ec2, {"Name": "tag:homeport:digest", "Values": ["0123"]}))


def test_a_bake_tells_why_an_image_cannot_be_registered_and_can_be_run_again(account):
    with pytest.raises(HomeportError, match=r"nothing/there:1 .* Docker has no image nothing/there:1"):
        machine._import(account.ec2, "homeport-machine-0123", "nothing/there:1", "0123")
    assert not machine._newest(account.ec2, {"Name": "tag:homeport:digest", "Values": ["0123"]})
    machine._import(account.ec2, "homeport-machine-0123", "homeport/machine:0123", "0123")
