"""What the region takes from moto: when moto's version is raised, this file says what has changed."""

import importlib
import inspect
import pkgutil

import pytest
from moto.backends import get_backend
from moto.core.responses import BaseResponse

from homeport.region import access, from_moto
from homeport.region.cloudwatch.api import HomeportCloudWatchResponse
from homeport.region.ec2.machines import STATES
from homeport.region.from_moto import private
from homeport.region.from_moto.ec2 import EC2Response, StateReason

ACCOUNT = "123456789012"
MODULES = [one.name for one in pkgutil.iter_modules(from_moto.__path__)]
ASKED = ("_get_param", "_get_params", "_get_bool_param", "_get_action", "_parse_tag_specification", "error_on_dryrun")
"""What our responses call of moto's."""


@pytest.mark.parametrize("name", MODULES)
def test_all_that_is_taken_is_there(name):
    module = importlib.import_module(f"homeport.region.from_moto.{name}")
    assert not [one for one in getattr(module, "__all__", ()) if not hasattr(module, one)]


@pytest.mark.parametrize("name", ASKED)
def test_responses_can_ask_for_their_parameters(name):
    assert callable(getattr(EC2Response, name))


def ours(base=BaseResponse):
    """Give our response classes; those of the services that the fixture installs exist once it ran."""
    for one in base.__subclasses__():
        yield from ours(one)
        if one.__module__.startswith("homeport.region."):
            yield one


def operations(response):
    return {name for name, value in vars(response).items() if inspect.isfunction(value) and not name.startswith("_")}


def moto_s(response):
    return [one for one in response.__mro__ if one.__module__.startswith("moto.") and one is not BaseResponse]


def test_what_is_overridden_is_moto_s_still(account):
    """An operation of ours that moto has not is new: it is listed, so that moto's own is noticed when it comes."""
    assert HomeportCloudWatchResponse in set(ours())
    added = {
        f"{one.__module__.removeprefix('homeport.region.')}: {name}"
        for one in ours()
        for name in operations(one)
        if not any(name in vars(theirs) for theirs in [*moto_s(one), BaseResponse])
    }
    assert added == ADDED


ADDED = {
    "ec2.images_api: disable_image_deprecation",
    "ec2.images_api: enable_image_deprecation",
    "ec2.options_api: modify_instance_capacity_reservation_attributes",
    "ec2.options_api: modify_instance_cpu_options",
    "ec2.options_api: modify_instance_credit_specification",
    "ec2.options_api: modify_instance_maintenance_options",
    "ec2.options_api: modify_instance_network_performance_options",
    "ec2.options_api: modify_instance_placement",
    "ec2.options_api: modify_private_dns_name_options",
    "iam.api: list_service_specific_credentials",
}
"""What moto lacks. A helper of ours must not be here: by a name without underscore, a request can ask for it."""


@pytest.fixture
def instance(account, make):
    subnet = make.subnet(make.vpc())
    return account.backend.get_instance(make.instance(subnet))


def test_an_instance_takes_each_state_and_its_reason(account, instance):
    for name, code in STATES.items():
        with account.driver.lock:
            private.set_state(instance, name, code)
            private.set_state_reason(instance, StateReason("the words", "The.Code"))
        told = account.instance(instance.id)
        assert told["State"] == {"Name": name, "Code": code}
        assert told["StateReason"] == {"Code": "The.Code", "Message": "the words"}
        assert told.get("StateTransitionReason", "") == ""


def test_an_instance_is_where_it_is_placed(account, make, instance):
    other = make.subnet(make.vpc(), 1)
    with account.driver.lock:
        private.place(instance, account.backend.get_subnet(other))
    told = account.instance(instance.id)
    assert told["Placement"]["AvailabilityZone"] == f"{access.REGION_NAME}b"


def test_a_subnet_tells_who_has_its_addresses_and_gives_out_what_it_is_told(account, make, instance):
    subnet = account.backend.get_subnet(instance.nics[0].subnet.id)
    assert instance.private_ip_address in private.given_addresses(subnet)
    wanted = str(subnet.cidr[77])
    with account.driver.lock, private.next_addresses(subnet, [wanted]):
        assert subnet.get_available_subnet_ip(instance) == wanted
    assert wanted in private.given_addresses(subnet)
    with account.driver.lock:
        assert subnet.get_available_subnet_ip(instance) != wanted


def test_an_interface_tells_its_own_groups(account, make):
    vpc = make.vpc()
    group = make.group(vpc)
    interface = account.backend.get_network_interface(make.interface(make.subnet(vpc), Groups=[group]))
    assert [one.id for one in private.interface_groups(interface)] == [group]
    other = make.group(vpc)
    with account.driver.lock:
        private.set_interface_groups(interface, [account.backend.get_security_group_from_id(other)])
    (told,) = account.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface.id])["NetworkInterfaces"]
    assert [one["GroupId"] for one in told["Groups"]] == [other]


def test_a_peering_tells_its_status(account, make):
    peering = make.peering(make.vpc(), make.vpc("127.99"))
    assert private.peering_status(account.backend.vpc_pcxs[peering]) == "active"


def test_a_database_group_tells_its_subnets(account, make):
    vpc = make.vpc()
    subnets = [make.subnet(vpc, number) for number in (0, 1)]
    rds = account.client("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="one", DBSubnetGroupDescription="one", SubnetIds=subnets)
    group = get_backend("rds")[ACCOUNT][access.REGION_NAME].subnet_groups["one"]
    assert [one.id for one in private.subnets_of_group(group)] == subnets


def test_certificates_are_found(account, make):
    arn = make.certificate()
    elbv2, acm = (get_backend(name)[ACCOUNT][access.REGION_NAME] for name in ("elbv2", "acm"))
    assert private.certificate_exists(elbv2, arn)
    assert not private.certificate_exists(elbv2, arn[:-1] + ("0" if arn[-1] != "0" else "1"))
    assert [one.arn for one in private.certificates(acm)] == [arn]


def test_a_cluster_is_found_by_its_name(account):
    account.client("ecs").create_cluster(clusterName="one")
    ecs = get_backend("ecs")[ACCOUNT][access.REGION_NAME]
    assert private.cluster(ecs, "one").name == "one"
