"""What IAM refuses to delete while something needs it."""

import json

import pytest
from asking import refused
from making import in_use_cases

CASES, used = in_use_cases()

DOCUMENT = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
)


@pytest.mark.parametrize(("case", "code"), CASES)
def test_what_is_needed_is_kept_until_it_is_free(make, case, code):
    delete, release = case(make)
    before = told(make)
    refused(code, delete)
    assert told(make) == before, "a refused delete changes nothing"
    release()
    delete()


def told(make):
    answer = make.iam.get_account_authorization_details()
    del answer["ResponseMetadata"]
    return answer


def policy(make):
    return make.iam.create_policy(PolicyName=make.name(), PolicyDocument=DOCUMENT)["Policy"]["Arn"]


def user(make):
    name = make.name()
    make.iam.create_user(UserName=name)
    return name


def group(make):
    name = make.name()
    make.iam.create_group(GroupName=name)
    return name


def profile(make, role):
    name = make.name()
    make.iam.create_instance_profile(InstanceProfileName=name)
    make.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    return name


def attached(make, kind, name):
    """Attach a new policy to a role, user or group; return it, and how to detach it."""
    arguments = {f"{kind.title()}Name": name, "PolicyArn": policy(make)}
    getattr(make.iam, f"attach_{kind}_policy")(**arguments)
    return arguments["PolicyArn"], lambda: getattr(make.iam, f"detach_{kind}_policy")(**arguments)


def inline(make, kind, name):
    """Give a role, user or group a policy of its own, and return how to take it back."""
    arguments = {f"{kind.title()}Name": name, "PolicyName": "own"}
    getattr(make.iam, f"put_{kind}_policy")(**arguments, PolicyDocument=DOCUMENT)
    return lambda: getattr(make.iam, f"delete_{kind}_policy")(**arguments)


# Roles and profiles


@used("DeleteConflict")
def role_with_a_policy(make):
    role, _ = make.role()
    _, detach = attached(make, "role", role)
    return lambda: make.iam.delete_role(RoleName=role), detach


@used("DeleteConflict")
def role_with_a_policy_of_its_own(make):
    role, _ = make.role()
    return lambda: make.iam.delete_role(RoleName=role), inline(make, "role", role)


@used("DeleteConflict")
def role_in_a_profile(make):
    role, _ = make.role()
    name = profile(make, role)
    return (
        lambda: make.iam.delete_role(RoleName=role),
        lambda: make.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role),
    )


@used("DeleteConflict")
def profile_with_a_role(make):
    role, _ = make.role()
    name = profile(make, role)
    return (
        lambda: make.iam.delete_instance_profile(InstanceProfileName=name),
        lambda: make.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role),
    )


# Policies


@used("DeleteConflict")
def policy_of_a_role(make):
    arn, detach = attached(make, "role", make.role()[0])
    return lambda: make.iam.delete_policy(PolicyArn=arn), detach


@used("DeleteConflict")
def policy_of_a_user(make):
    arn, detach = attached(make, "user", user(make))
    return lambda: make.iam.delete_policy(PolicyArn=arn), detach


@used("DeleteConflict")
def policy_of_a_group(make):
    arn, detach = attached(make, "group", group(make))
    return lambda: make.iam.delete_policy(PolicyArn=arn), detach


@used("DeleteConflict")
def policy_that_is_a_boundary(make):
    boundary = policy(make)
    role, _ = make.role(PermissionsBoundary=boundary)
    return (
        lambda: make.iam.delete_policy(PolicyArn=boundary),
        lambda: make.iam.delete_role_permissions_boundary(RoleName=role),
    )


@used("DeleteConflict")
def policy_with_versions(make):
    arn = policy(make)
    make.iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT)
    return (
        lambda: make.iam.delete_policy(PolicyArn=arn),
        lambda: make.iam.delete_policy_version(PolicyArn=arn, VersionId="v2"),
    )


@used("DeleteConflict")
def policy_version_that_is_the_default(make):
    arn = policy(make)
    make.iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT)
    return (
        lambda: make.iam.delete_policy_version(PolicyArn=arn, VersionId="v1"),
        lambda: make.iam.set_default_policy_version(PolicyArn=arn, VersionId="v2"),
    )


# Groups and users


@used("DeleteConflict")
def group_with_a_user(make):
    member = {"GroupName": group(make), "UserName": user(make)}
    make.iam.add_user_to_group(**member)
    return (
        lambda: make.iam.delete_group(GroupName=member["GroupName"]),
        lambda: make.iam.remove_user_from_group(**member),
    )


@used("DeleteConflict")
def group_with_a_policy(make):
    name = group(make)
    _, detach = attached(make, "group", name)
    return lambda: make.iam.delete_group(GroupName=name), detach


@used("DeleteConflict")
def group_with_a_policy_of_its_own(make):
    name = group(make)
    return lambda: make.iam.delete_group(GroupName=name), inline(make, "group", name)


@used("DeleteConflict")
def user_in_a_group(make):
    member = {"GroupName": group(make), "UserName": user(make)}
    make.iam.add_user_to_group(**member)
    return (
        lambda: make.iam.delete_user(UserName=member["UserName"]),
        lambda: make.iam.remove_user_from_group(**member),
    )


@used("DeleteConflict")
def user_with_a_policy(make):
    name = user(make)
    _, detach = attached(make, "user", name)
    return lambda: make.iam.delete_user(UserName=name), detach


@used("DeleteConflict")
def user_with_a_policy_of_its_own(make):
    name = user(make)
    return lambda: make.iam.delete_user(UserName=name), inline(make, "user", name)


@used("DeleteConflict")
def user_with_an_access_key(make):
    name = user(make)
    key = make.iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    return (
        lambda: make.iam.delete_user(UserName=name),
        lambda: make.iam.delete_access_key(UserName=name, AccessKeyId=key),
    )


@used("DeleteConflict")
def user_with_a_password(make):
    name = user(make)
    make.iam.create_login_profile(UserName=name, Password="secret-Secret-1")
    return lambda: make.iam.delete_user(UserName=name), lambda: make.iam.delete_login_profile(UserName=name)


@used("DeleteConflict")
def user_with_a_key_for_ssh(make):
    name = user(make)
    key = make.iam.upload_ssh_public_key(UserName=name, SSHPublicKeyBody="ssh-rsa AAAA")["SSHPublicKey"]
    return (
        lambda: make.iam.delete_user(UserName=name),
        lambda: make.iam.delete_ssh_public_key(UserName=name, SSHPublicKeyId=key["SSHPublicKeyId"]),
    )


@used("DeleteConflict")
def user_with_a_signing_certificate(make):
    name = user(make)
    body = make.acm.get_certificate(CertificateArn=make.certificate())["Certificate"]
    made = make.iam.upload_signing_certificate(UserName=name, CertificateBody=body)["Certificate"]
    return (
        lambda: make.iam.delete_user(UserName=name),
        lambda: make.iam.delete_signing_certificate(UserName=name, CertificateId=made["CertificateId"]),
    )


def device(make):
    """Give a user a device for a second factor; return both, and how to take it back."""
    name = user(make)
    serial = make.iam.create_virtual_mfa_device(VirtualMFADeviceName=make.name())["VirtualMFADevice"]["SerialNumber"]
    make.iam.enable_mfa_device(
        UserName=name, SerialNumber=serial, AuthenticationCode1="123456", AuthenticationCode2="234567"
    )
    return name, serial, lambda: make.iam.deactivate_mfa_device(UserName=name, SerialNumber=serial)


@used("DeleteConflict")
def user_with_a_device(make):
    name, _, deactivate = device(make)
    return lambda: make.iam.delete_user(UserName=name), deactivate


@used("DeleteConflict")
def device_of_a_user(make):
    _, serial, deactivate = device(make)
    return lambda: make.iam.delete_virtual_mfa_device(SerialNumber=serial), deactivate


# What tells it otherwise


@pytest.mark.parametrize("service", ["elasticloadbalancing", "autoscaling"])
def test_a_service_s_own_role_is_deleted_once_the_service_has_nothing(make, service):
    made = make.iam.create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")["Role"]
    role = made["RoleName"]
    refused("UnmodifiableEntity", make.iam.delete_role, RoleName=role)
    vpc, groups = make.vpc(), make.account.groups_with_role
    if service == "autoscaling":
        groups[made["Arn"]] = [f"arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:{make.name()}"]
        (user,) = groups[made["Arn"]]
    else:
        user = make.balancer([make.subnet(vpc), make.subnet(vpc, 1)])

    def status():
        task = make.iam.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
        return make.iam.get_service_linked_role_deletion_status(DeletionTaskId=task)

    answer = status()
    assert answer["Status"] == "FAILED"
    (usage,) = answer["Reason"]["RoleUsageList"]
    assert usage == {"Region": "eu-central-1", "Resources": [user]}
    assert make.iam.get_role(RoleName=role)
    groups.clear()
    make.elbv2.delete_load_balancer(LoadBalancerArn=user)
    assert status()["Status"] == "SUCCEEDED"
    refused("NoSuchEntity", make.iam.get_role, RoleName=role)


def test_a_user_s_other_credentials_can_be_asked_for(make):
    """Terraform does, to delete a user with all that it has."""
    assert make.iam.list_service_specific_credentials(UserName=user(make))["ServiceSpecificCredentials"] == []


def test_a_role_s_use_by_instances_and_trust_does_not_keep_it(make):
    """IAM lets a role go that instances act by, and a provider that roles trust."""
    role, _ = make.role()
    name = profile(make, role)
    instance = make.instance(make.subnet(make.vpc()), IamInstanceProfile={"Name": name})
    provider = make.iam.create_open_id_connect_provider(Url="https://example.org", ThumbprintList=["a" * 40])
    make.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
    make.iam.delete_instance_profile(InstanceProfileName=name)
    make.iam.delete_role(RoleName=role)
    make.terminate(instance)
    make.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["OpenIDConnectProviderArn"])


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("delete_role", {"RoleName": "none"}),
        ("delete_policy", {"PolicyArn": "arn:aws:iam::123456789012:policy/none"}),
        ("delete_group", {"GroupName": "none"}),
        ("delete_user", {"UserName": "none"}),
        ("delete_server_certificate", {"ServerCertificateName": "none"}),
        ("delete_service_linked_role", {"RoleName": "none"}),
    ],
)
def test_what_does_not_exist_is_not_needed(make, call, arguments):
    refused("NoSuchEntity", getattr(make.iam, call), **arguments)
