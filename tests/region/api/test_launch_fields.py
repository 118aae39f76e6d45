"""Every field that RunInstances and a launch template are given is kept and given back, or refused by its name."""

import base64

import pytest
from asking import refused, running

from tests.polling import eventually

TAGS = [
    {"ResourceType": kind, "Tags": [{"Key": "Name", "Value": kind}, {"Key": "Owner", "Value": "one"}]}
    for kind in ("instance", "volume", "network-interface")
]
WHOLE = {
    "InstanceType": "t3.medium",
    "KeyName": "mine",
    "UserData": b"#!",
    "EbsOptimized": True,
    "Monitoring": {"Enabled": True},
    "DisableApiTermination": True,
    "DisableApiStop": True,
    "InstanceInitiatedShutdownBehavior": "terminate",
    "KernelId": "aki-0123456789abcdef0",
    "IamInstanceProfile": {"Name": "own"},
    "Placement": {"GroupName": "near", "Tenancy": "dedicated", "PartitionNumber": 2},
    "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
    "CreditSpecification": {"CpuCredits": "standard"},
    "CapacityReservationSpecification": {"CapacityReservationPreference": "none"},
    "HibernationOptions": {"Configured": True},
    "EnclaveOptions": {"Enabled": True},
    "LicenseSpecifications": [{"LicenseConfigurationArn": "arn:aws:license-manager:::license-configuration:lic-1"}],
    "MaintenanceOptions": {"AutoRecovery": "disabled"},
    "NetworkPerformanceOptions": {"BandwidthWeighting": "vpc-1"},
    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 4, "InstanceMetadataTags": "enabled"},
    "PrivateDnsNameOptions": {"HostnameType": "resource-name", "EnableResourceNameDnsARecord": True},
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 12, "VolumeType": "gp3", "Iops": 4000, "Throughput": 200}},
        {"DeviceName": "/dev/sdf",
         "Ebs": {"VolumeSize": 5, "VolumeType": "io2", "Iops": 500, "Encrypted": True, "DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 3}},
        {"DeviceName": "/dev/sdh", "VirtualName": "ephemeral0"},
    ],
    "TagSpecifications": TAGS,
}  # fmt: skip


@pytest.fixture
def surroundings(account):
    """What a whole launch refers to; returns its network interfaces."""
    account.ec2.create_key_pair(KeyName="mine")
    account.client("iam").create_instance_profile(InstanceProfileName="own")
    subnet = account.ec2.describe_subnets()["Subnets"][1]
    group = account.ec2.create_security_group(GroupName="own", Description="own", VpcId=subnet["VpcId"])["GroupId"]
    return [
        {"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group], "Description": "the first",
         "DeleteOnTermination": False, "SecondaryPrivateIpAddressCount": 2},
        {"DeviceIndex": 1, "SubnetId": subnet["SubnetId"], "Description": "the second"},
    ]  # fmt: skip


def template_of(fields):
    """Return the fields as a launch template has them."""
    data = {"RamDiskId" if name == "RamdiskId" else name: value for name, value in fields.items()}
    return data | {"UserData": base64.b64encode(fields["UserData"]).decode()}


@pytest.mark.parametrize("way", ["request", "template", "both", "version", "again"])
def test_a_launch_keeps_all_that_it_is_given(account, base, surroundings, way):
    whole = WHOLE | {"NetworkInterfaces": surroundings, "RamdiskId": "ari-0123456789abcdef0", "ImageId": base}
    template = {"LaunchTemplateName": "one"}
    if way == "request":
        given = whole
    elif way == "template":
        account.ec2.create_launch_template(**template, LaunchTemplateData=template_of(whole))
        given = {"LaunchTemplate": template}
    elif way == "both":
        # Each field comes from one of the two.
        names = sorted(whole)
        below = {name: whole[name] for name in names[::2]} | {"UserData": whole["UserData"]}
        account.ec2.create_launch_template(**template, LaunchTemplateData=template_of(below))
        given = {"LaunchTemplate": template} | {name: whole[name] for name in names[1::2] if name != "UserData"}
    elif way == "version":
        account.ec2.create_launch_template(**template, LaunchTemplateData={"InstanceType": "t3.nano"})
        account.ec2.create_launch_template_version(**template, LaunchTemplateData=template_of(whole))
        given = {"LaunchTemplate": template | {"Version": "$Latest"}}
    else:
        first = launch(account, whole)
        data = account.ec2.get_launch_template_data(InstanceId=first)["LaunchTemplateData"]
        del data["MetadataOptions"]["State"]
        account.ec2.create_launch_template(**template, LaunchTemplateData=data)
        secondary = [{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 2}]
        tags = TAGS[1:]
        virtual = whole["BlockDeviceMappings"][-1:]
        given = {
            "LaunchTemplate": template,
            "NetworkInterfaces": secondary,
            "TagSpecifications": tags,
            "BlockDeviceMappings": virtual,
        }
    check(account, launch(account, given), surroundings)


def launch(account, given):
    instance = account.ec2.run_instances(MinCount=1, MaxCount=1, **given)["Instances"][0]["InstanceId"]
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    return instance


def check(account, instance, interfaces):
    shown = account.instance(instance)
    for name in (
        "InstanceType", "KeyName", "EbsOptimized", "KernelId", "CpuOptions", "CapacityReservationSpecification",
        "HibernationOptions", "EnclaveOptions",
    ):  # fmt: skip
        assert shown[name] == WHOLE[name], name
    assert shown["RamdiskId"] == "ari-0123456789abcdef0"
    assert shown["Monitoring"] == {"State": "enabled"}
    assert shown["Licenses"] == WHOLE["LicenseSpecifications"]
    assert shown["MaintenanceOptions"] == {"AutoRecovery": "disabled", "RebootMigration": "default"}
    assert shown["NetworkPerformanceOptions"] == {"BandwidthWeighting": "vpc-1"}
    assert shown["MetadataOptions"].items() >= WHOLE["MetadataOptions"].items()
    assert shown["PrivateDnsNameOptions"].items() >= WHOLE["PrivateDnsNameOptions"].items()
    assert shown["Placement"].items() >= WHOLE["Placement"].items()
    assert shown["IamInstanceProfile"]["Arn"].endswith(":instance-profile/own")
    assert shown["SecurityGroups"] == [] or {one["GroupName"] for one in shown["SecurityGroups"]} == {"own"}
    (spec,) = account.ec2.describe_instance_credit_specifications(InstanceIds=[instance])[
        "InstanceCreditSpecifications"
    ]
    assert spec == {"InstanceId": instance, "CpuCredits": "standard"}
    for attribute, member, value in (
        ("disableApiTermination", "DisableApiTermination", True),
        ("disableApiStop", "DisableApiStop", True),
        ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior", "terminate"),
        ("ebsOptimized", "EbsOptimized", True),
        ("kernel", "KernelId", WHOLE["KernelId"]),
        ("instanceType", "InstanceType", "t3.medium"),
    ):
        told = account.ec2.describe_instance_attribute(InstanceId=instance, Attribute=attribute)[member]
        assert told == {"Value": value}, attribute
    assert account.metadata(instance).user_data == b"#!"
    check_volumes(account, shown)
    check_interfaces(account, shown, interfaces)


def check_volumes(account, shown):
    volumes = account.ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [shown["InstanceId"]]}]
    )["Volumes"]
    found = {one["Attachments"][0]["Device"]: one for one in volumes}
    figures = {
        device: tuple(one.get(name) for name in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted"))
        for device, one in found.items()
    }
    assert figures == {
        "/dev/xvda": (12, "gp3", 4000, 200, False),
        "/dev/sdf": (5, "io2", 500, None, True),
        "/dev/sdg": (3, "gp2", 100, None, False),
    }
    kept = {one["DeviceName"]: one["Ebs"]["DeleteOnTermination"] for one in shown["BlockDeviceMappings"]}
    assert kept == {"/dev/xvda": True, "/dev/sdf": False, "/dev/sdg": False}
    for one in volumes:
        assert {tag["Key"]: tag["Value"] for tag in one["Tags"]} == {"Name": "volume", "Owner": "one"}
        assert one["AvailabilityZone"] == shown["Placement"]["AvailabilityZone"]


def check_interfaces(account, shown, interfaces):
    found = account.ec2.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [shown["InstanceId"]]}]
    )["NetworkInterfaces"]
    first, second = sorted(found, key=lambda one: one["Attachment"]["DeviceIndex"])
    assert (first["Description"], second["Description"]) == ("the first", "the second")
    assert first["SubnetId"] == second["SubnetId"] == interfaces[0]["SubnetId"] == shown["SubnetId"]
    assert [one["GroupId"] for one in first["Groups"]] == interfaces[0]["Groups"]
    assert [one["Attachment"]["DeleteOnTermination"] for one in (first, second)] == [False, True]
    assert [len(one["PrivateIpAddresses"]) for one in (first, second)] == [3, 1]
    for one in (first, second):
        assert {tag["Key"]: tag["Value"] for tag in one["TagSet"]} == {"Name": "network-interface", "Owner": "one"}


def test_what_nothing_is_said_of_is_as_in_ec2(account, base):
    shown = account.instance(running(account, base, InstanceType="t3.micro"))
    assert shown["CpuOptions"] == {"CoreCount": 1, "ThreadsPerCore": 2}
    assert shown["CapacityReservationSpecification"] == {"CapacityReservationPreference": "open"}
    assert shown["HibernationOptions"] == {"Configured": False}
    assert shown["EnclaveOptions"] == {"Enabled": False}
    assert shown["MaintenanceOptions"] == {"AutoRecovery": "default", "RebootMigration": "default"}
    assert shown["Monitoring"] == {"State": "disabled"}
    assert shown["PrivateDnsNameOptions"]["HostnameType"] == "ip-name"
    assert shown["Placement"]["Tenancy"] == "default"
    assert "KernelId" not in shown
    assert "InstanceLifecycle" not in shown
    (interface,) = shown["NetworkInterfaces"]
    assert (interface["Description"], interface["Attachment"]["DeleteOnTermination"]) == ("", True)
    specs = account.ec2.describe_instance_credit_specifications(InstanceIds=[shown["InstanceId"]])
    assert specs["InstanceCreditSpecifications"][0]["CpuCredits"] == "unlimited"


def test_empty_user_data_is_none(account, base):
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData={"UserData": ""})
    account.ec2.create_launch_template_version(LaunchTemplateName="one", LaunchTemplateData={"UserData": ""})
    for version in ("1", "2"):
        template = {"LaunchTemplateName": "one", "Version": version}
        for given in ({"LaunchTemplate": template}, {"LaunchTemplate": template, "UserData": ""}, {"UserData": ""}):
            instance = running(account, base, **given)
            told = account.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
            assert told["UserData"] == {}


def test_options_may_change_later(account, base):
    ec2 = account.ec2
    instance = running(account, base, InstanceType="t3.micro")
    assert ec2.monitor_instances(InstanceIds=[instance])["InstanceMonitorings"][0]["Monitoring"]["State"] == "pending"
    assert account.instance(instance)["Monitoring"] == {"State": "enabled"}
    ec2.unmonitor_instances(InstanceIds=[instance])
    assert account.instance(instance)["Monitoring"] == {"State": "disabled"}
    changed = ec2.modify_instance_credit_specification(
        InstanceCreditSpecifications=[
            {"InstanceId": instance, "CpuCredits": "standard"},
            {"InstanceId": "i-0123456789abcdef0", "CpuCredits": "standard"},
        ]
    )
    assert changed["SuccessfulInstanceCreditSpecifications"] == [{"InstanceId": instance}]
    assert changed["UnsuccessfulInstanceCreditSpecifications"][0]["Error"]["Code"] == "InvalidInstanceID.NotFound"
    assert ec2.describe_instance_credit_specifications()["InstanceCreditSpecifications"] == []
    ec2.modify_instance_maintenance_options(InstanceId=instance, AutoRecovery="disabled")
    ec2.modify_instance_capacity_reservation_attributes(
        InstanceId=instance, CapacityReservationSpecification={"CapacityReservationPreference": "none"}
    )
    shown = account.instance(instance)
    assert shown["MaintenanceOptions"] == {"AutoRecovery": "disabled", "RebootMigration": "default"}
    assert shown["CapacityReservationSpecification"] == {"CapacityReservationPreference": "none"}
    while_stopped = [
        (ec2.modify_instance_placement, {"Tenancy": "dedicated"}),
        (ec2.modify_private_dns_name_options, {"PrivateDnsHostnameType": "resource-name"}),
        (ec2.modify_instance_cpu_options, {"CoreCount": 1, "ThreadsPerCore": 1}),
        (ec2.modify_instance_network_performance_options, {"BandwidthWeighting": "ebs-1"}),
    ]
    for call, given in while_stopped:
        refused("IncorrectInstanceState", call, InstanceId=instance, **given)
    ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    for call, given in while_stopped:
        call(InstanceId=instance, **given)
    shown = account.instance(instance)
    assert shown["Placement"]["Tenancy"] == "dedicated"
    assert shown["PrivateDnsNameOptions"]["HostnameType"] == "resource-name"
    assert shown["CpuOptions"] == {"CoreCount": 1, "ThreadsPerCore": 1}
    assert shown["NetworkPerformanceOptions"] == {"BandwidthWeighting": "ebs-1"}


INTERFACE = {"DeviceIndex": 0}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "InstanceMarketOptions"),
        ({"ElasticGpuSpecification": [{"Type": "eg1.medium"}]}, "ElasticGpuSpecification"),
        ({"ElasticInferenceAccelerators": [{"Type": "eia1.medium"}]}, "ElasticInferenceAccelerators"),
        ({"Operator": {"Principal": "x"}}, "Operator"),
        ({"SecondaryInterfaces": [{"DeviceIndex": 1}]}, "SecondaryInterfaces"),
        ({"NetworkInterfaces": [INTERFACE | {"Ipv4PrefixCount": 1}]}, "NetworkInterfaces.Ipv4PrefixCount"),
        ({"NetworkInterfaces": [INTERFACE | {"NetworkCardIndex": 1}]}, "NetworkInterfaces.NetworkCardIndex"),
        (
            {"NetworkInterfaces": [INTERFACE | {"EnaSrdSpecification": {"EnaSrdEnabled": True}}]},
            "NetworkInterfaces.EnaSrdSpecification",
        ),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "EbsCardIndex": 1}}]},
            "BlockDeviceMappings.Ebs.EbsCardIndex",
        ),
    ],
)
@pytest.mark.parametrize("template", [False, True])
def test_what_cannot_be_had_here_is_refused_by_its_name(account, base, fields, named, template):
    if template:
        renamed = {f"{name}s" if name == "ElasticGpuSpecification" else name: value for name, value in fields.items()}
        account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=renamed)
        fields = {"LaunchTemplate": {"LaunchTemplateName": "one"}}
    message = refused("UnsupportedOperation", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1, **fields)
    assert message.startswith(f"{named} cannot be had here: ")
    assert account.ec2.describe_instances()["Reservations"] == []


def test_instance_requirements_are_for_groups_and_fleets(account, base):
    requirements = {"InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}}
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=requirements)
    template = {"LaunchTemplate": {"LaunchTemplateName": "one"}, "ImageId": base, "MinCount": 1, "MaxCount": 1}
    assert "InstanceRequirements" in refused("UnsupportedOperation", account.ec2.run_instances, **template)


def test_on_demand_and_nothing_are_what_it_is_anyway(account, base):
    interface = INTERFACE | {"NetworkCardIndex": 0, "EnaSrdSpecification": {"EnaSrdEnabled": False}}
    running(account, base, InstanceMarketOptions={"MarketType": "on-demand"}, NetworkInterfaces=[interface])


@pytest.mark.parametrize(
    ("in_template", "in_request", "words"),
    [
        ({"NetworkInterfaces": [INTERFACE]}, {"SubnetId": "subnet-1"}, "an instance-level subnet ID"),
        ({"NetworkInterfaces": [INTERFACE]}, {"SecurityGroupIds": ["sg-1"]}, "an instance-level security groups"),
        ({"SecurityGroupIds": ["sg-1"]}, {"NetworkInterfaces": [INTERFACE]}, "an instance-level security groups"),
        ({"SecurityGroups": ["default"]}, {"NetworkInterfaces": [INTERFACE]}, "an instance-level security groups"),
        ({}, {"NetworkInterfaces": [INTERFACE], "SubnetId": "subnet-1"}, "an instance-level subnet ID"),
        (
            {},
            {"NetworkInterfaces": [INTERFACE], "PrivateIpAddress": "172.31.0.9"},
            "an instance-level private IP address",
        ),
    ],
)
def test_interfaces_say_themselves_what_else_the_instance_would(account, base, in_template, in_request, words):
    account.ec2.create_launch_template(
        LaunchTemplateName="one", LaunchTemplateData=in_template or {"InstanceType": "t3.nano"}
    )
    message = refused(
        "InvalidParameterCombination",
        account.ec2.run_instances,
        LaunchTemplate={"LaunchTemplateName": "one"},
        ImageId=base,
        MinCount=1,
        MaxCount=1,
        **in_request,
    )
    assert message == f"Network interfaces and {words} may not be specified on the same request"
    assert account.ec2.describe_instances()["Reservations"] == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
        ({"CreditSpecification": {"CpuCredits": "endless"}}, "InvalidParameterValue"),
        ({"InstanceInitiatedShutdownBehavior": "explode"}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "a", "Arn": "b"}}, "InvalidParameterCombination"),
        ({"PrivateIpAddress": "172.31.0.9", "MaxCount": 2}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [INTERFACE, INTERFACE]}, "InvalidParameterValue"),
        ({"Ipv6AddressCount": 1}, "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]},
         "InvalidParameterValue"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4, "VolumeType": "io1"}}]},
         "MissingParameter"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4, "VolumeType": "gp2",
                                                                     "Iops": 300}}]}, "InvalidParameterCombination"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}}, "InvalidLaunchTemplateId.NotFound"),
        ({"LaunchTemplate": {"LaunchTemplateName": "none"}}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"LaunchTemplate": {"LaunchTemplateName": "one", "Version": "0"}}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplate": {"LaunchTemplateName": "one", "Version": "x"}}, "InvalidLaunchTemplateId.VersionNotFound"),
    ],
)  # fmt: skip
def test_what_ec2_refuses_is_refused_before_there_is_anything(account, base, fields, code):
    account.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData={"InstanceType": "t3.nano"})
    refused(code, account.ec2.run_instances, **{"ImageId": base, "MinCount": 1, "MaxCount": 1} | fields)
    assert account.ec2.describe_instances()["Reservations"] == []
    assert account.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_fields_that_are_blank_are_as_good_as_absent(account, base):
    made = account.ec2.run_instances(
        ImageId=base, MinCount=1, MaxCount=1, KeyName="", KernelId="", RamdiskId="", UserData="", SubnetId="",
        IamInstanceProfile={"Name": ""}, Placement={"Tenancy": "", "AvailabilityZone": ""},
        CreditSpecification={"CpuCredits": ""}, InstanceInitiatedShutdownBehavior="",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "kept", "Value": ""}]}],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    shown = account.instance(made)
    assert "IamInstanceProfile" not in shown
    assert shown["Tags"] == [{"Key": "kept", "Value": ""}]
    assert shown["Placement"]["Tenancy"] == "default"


def test_blank_fields_of_a_template_are_as_good_as_absent(account, base):
    data = {"IamInstanceProfile": {"Name": ""}, "KeyName": "", "CreditSpecification": {"CpuCredits": ""}}
    account.ec2.create_launch_template(LaunchTemplateName="blank", LaunchTemplateData=data)
    template = {"LaunchTemplateName": "blank"}
    made = account.ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1, LaunchTemplate=template)["Instances"]
    assert "IamInstanceProfile" not in account.instance(made[0]["InstanceId"])


@pytest.mark.parametrize("profile", [{"Name": "none"}, {"Arn": "arn:aws:iam::123456789012:instance-profile/none"}])
def test_a_profile_that_is_not_there_leaves_nothing(account, base, profile):
    refused("InvalidParameterValue", account.ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1,
            IamInstanceProfile=profile)  # fmt: skip
    assert account.ec2.describe_instances()["Reservations"] == []


def test_as_many_are_launched_as_there_is_room_for(account, base, surroundings):
    made = account.ec2.run_instances(
        ImageId=base, MinCount=1, MaxCount=3, TagSpecifications=TAGS, IamInstanceProfile={"Name": "own"}
    )["Instances"]
    assert [one["AmiLaunchIndex"] for one in made] == [0, 1, 2]
    for one in made:
        shown = account.instance(one["InstanceId"])
        assert shown["IamInstanceProfile"]["Arn"].endswith("/own")
        assert {tag["Value"] for tag in shown["Tags"]} == {"instance", "one"}
    vpc = account.ec2.create_vpc(CidrBlock="127.40.0.0/16")["Vpc"]["VpcId"]
    small = account.ec2.create_subnet(VpcId=vpc, CidrBlock="127.40.0.0/28")["Subnet"]["SubnetId"]
    launch = {"ImageId": base, "SubnetId": small}
    assert len(account.ec2.run_instances(**launch, MinCount=1, MaxCount=9)["Instances"]) == 9
    assert len(account.ec2.run_instances(**launch, MinCount=1, MaxCount=9)["Instances"]) == 2
    refused("InsufficientFreeAddressesInSubnet", account.ec2.run_instances, **launch, MinCount=1, MaxCount=1)


def test_a_launch_without_a_token_gets_one(account, base):
    tokens = {account.instance(running(account, base))["ClientToken"] for _ in range(2)}
    assert len(tokens) == 2


def test_a_public_address_comes_back_with_a_start(account, base):
    subnet = account.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = INTERFACE | {"SubnetId": subnet, "AssociatePublicIpAddress": True}
    instance = running(account, base, NetworkInterfaces=[interface])
    address = account.instance(instance)["PublicIpAddress"]
    account.ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "stopped")
    assert "PublicIpAddress" not in account.instance(instance)
    account.ec2.start_instances(InstanceIds=[instance])
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    assert account.instance(instance)["PublicIpAddress"] == address


def test_an_existing_interface_says_where_the_instance_is(account, base):
    subnet = account.ec2.describe_subnets()["Subnets"][2]
    interface = account.ec2.create_network_interface(SubnetId=subnet["SubnetId"])["NetworkInterface"]
    instance = running(
        account, base, NetworkInterfaces=[INTERFACE | {"NetworkInterfaceId": interface["NetworkInterfaceId"]}]
    )
    shown = account.instance(instance)
    assert shown["SubnetId"] == subnet["SubnetId"]
    assert shown["Placement"]["AvailabilityZone"] == subnet["AvailabilityZone"]
    assert shown["PrivateIpAddress"] == interface["PrivateIpAddress"]
    assert not shown["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"]
    (volume,) = account.ec2.describe_volumes()["Volumes"]
    assert volume["AvailabilityZone"] == subnet["AvailabilityZone"]
