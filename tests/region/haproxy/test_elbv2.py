"""The API of load balancers as boto3 sees it, with a real HAProxy behind."""

import os
import random
import socket
from ipaddress import IPv4Network

import boto3
import httpx
import pytest
from balancing import App
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.base_backend import BackendDict

from homeport.region.api.server import ApiServer
from homeport.region.clock import Clock
from homeport.region.elbv2 import api
from homeport.region.elbv2.loop import Balancing, Targets
from homeport.region.elbv2.registry import Registry
from homeport.system.ranges import Ranges
from tests.polling import eventually

REGION = "eu-central-1"


class Cloud:
    """A network in a range of its own, and whatever a test makes in it."""

    def __init__(self, url, names):
        config = Config(retries={"max_attempts": 0})
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
        self.elbv2 = boto3.client("elbv2", endpoint_url=url, config=config, **keys)
        self.ec2 = boto3.client("ec2", endpoint_url=url, config=config, **keys)
        self.acm = boto3.client("acm", endpoint_url=url, config=config, **keys)
        self.iam = boto3.client("iam", endpoint_url=url, config=config, **keys)
        self.names = names
        self.prefix = f"127.{random.randint(100, 250)}"
        self.vpc = self.ec2.create_vpc(CidrBlock=f"{self.prefix}.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"{self.prefix}.{16 * number}.0/20", AvailabilityZone=f"{REGION}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("abc")
        ]
        self.apps = []

    def balancer(self, name="main", subnets=2):
        made = self.elbv2.create_load_balancer(Name=name, Subnets=self.subnets[:subnets])["LoadBalancers"][0]
        return made["LoadBalancerArn"], made["DNSName"]

    def group(self, name="balance", **changes):
        settings = {
            "Protocol": "HTTP", "Port": 8080, "VpcId": self.vpc, "HealthCheckPath": "/healthz",
            "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 2,
        }  # fmt: skip
        made = self.elbv2.create_target_group(Name=name, **(settings | changes))
        return made["TargetGroups"][0]["TargetGroupArn"]

    def listener(self, balancer, group, port=0, **changes):
        settings = {"Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]}
        made = self.elbv2.create_listener(
            LoadBalancerArn=balancer, Port=port or self.free_port(balancer), **(settings | changes)
        )
        return made["Listeners"][0]

    def free_port(self, balancer):
        with socket.create_server((self.address(balancer), 0)) as probe:
            return probe.getsockname()[1]

    def address(self, balancer):
        (name,) = [
            one["DNSName"] for one in self.elbv2.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"]
        ]
        return self.names[name]

    def instance(self, subnet=0, port=8080):
        made = self.ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, SubnetId=self.subnets[subnet])
        one = made["Instances"][0]
        app = App(one["PrivateIpAddress"], port)
        self.apps.append(app)
        return one["InstanceId"], app

    def health(self, group, **arguments):
        found = self.elbv2.describe_target_health(TargetGroupArn=group, **arguments)["TargetHealthDescriptions"]
        return {
            one["Target"]["Id"]: (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason", "")) for one in found
        }


@pytest.fixture
def cloud(balancers, monkeypatch):
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    names = {}
    registry = Registry(Clock(50))
    server = ApiServer(0)
    loop = Balancing(registry, balancers, server.gate.lock)
    services = api.LoadBalancing(
        registry,
        balancers,
        Ranges((IPv4Network("127.0.0.0/8"),)),
        dns_name_for=lambda name, number, address: f"{name}-{number}.{REGION}.elb.homeport.internal".lower(),
        publish=names.__setitem__,
        withdraw=lambda name: names.pop(name, None),
        wake=loop.wake,
    )
    api.install(services)
    server.start()
    loop.start()
    cloud = Cloud(server.url, names)
    cloud.targets, cloud.balancers = Targets(balancers), balancers
    yield cloud
    with server.gate.lock:
        for backends in BackendDict._instances:
            backends.reset()
    loop.wake()
    eventually(lambda: balancers.pids() == {})
    loop.close()
    server.close()
    for app in cloud.apps:
        app.close()


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]


def test_a_service_is_served_drained_and_taken_down(cloud):
    balancer, name = cloud.balancer()
    identity = balancer.rpartition("/")[2]
    assert name == f"main-{identity}.eu-central-1.elb.homeport.internal"
    address = cloud.address(balancer)
    assert address == f"{cloud.prefix}.15.250"
    (state,) = cloud.elbv2.describe_load_balancers(Names=["main"])["LoadBalancers"]
    assert state["State"] == {"Code": "active"}

    group = cloud.group()
    (one, first), (two, second) = cloud.instance(0), cloud.instance(1)
    cloud.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": one}])
    assert cloud.health(group) == {one: ("unused", "Target.NotInUse")}
    listener = cloud.listener(balancer, group)
    (used,) = cloud.elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    assert used["LoadBalancerArns"] == [balancer]
    eventually(lambda: cloud.health(group) == {one: ("healthy", "")})
    url = f"http://{address}:{listener['Port']}/"
    assert httpx.get(url, trust_env=False).text == first.address

    cloud.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": two}])
    eventually(lambda: cloud.health(group) == {one: ("healthy", ""), two: ("healthy", "")})
    cloud.elbv2.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "3600"}]
    )
    assert not cloud.targets.drained(group, one)
    cloud.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": one}])
    assert cloud.health(group) == {one: ("draining", "Target.DeregistrationInProgress"), two: ("healthy", "")}
    eventually(lambda: cloud.targets.drained(group, one))
    assert {httpx.get(url, trust_env=False).text for _ in range(4)} == {second.address}
    assert cloud.health(group, Targets=[{"Id": "i-none"}]) == {"i-none": ("unused", "Target.NotRegistered")}

    cloud.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    assert cloud.names == {}
    eventually(lambda: cloud.balancers.pids() == {})
    assert cloud.health(group)[two] == ("unused", "Target.NotInUse")
    again, _ = cloud.balancer()
    assert cloud.address(again) == address


def test_a_drained_target_is_forgotten_at_the_end_of_its_delay(cloud):
    balancer, _ = cloud.balancer()
    group = cloud.group()
    cloud.listener(balancer, group)
    one, _ = cloud.instance()
    cloud.elbv2.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]
    )
    cloud.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": one}])
    eventually(lambda: cloud.health(group) == {one: ("healthy", "")})
    cloud.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": one}])
    cloud.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": one}])  # no error, no longer delay
    assert cloud.health(group)[one][0] == "draining"
    eventually(lambda: cloud.health(group) == {})
    assert cloud.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": one}])


def test_stopped_and_terminated_instances_get_nothing(cloud):
    balancer, _ = cloud.balancer()
    group = cloud.group()
    cloud.listener(balancer, group)
    (one, _), (two, _) = cloud.instance(), cloud.instance()
    cloud.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": one}, {"Id": two}])
    eventually(lambda: set(cloud.health(group).values()) == {("healthy", "")})
    cloud.ec2.stop_instances(InstanceIds=[one])
    assert cloud.health(group) == {one: ("unused", "Target.InvalidState"), two: ("healthy", "")}
    cloud.ec2.terminate_instances(InstanceIds=[two])
    eventually(lambda: cloud.health(group) == {one: ("unused", "Target.InvalidState")})
    eventually(lambda: cloud.balancers.health(group) == {})


def test_a_target_in_another_zone_is_not_used(cloud):
    balancer, _ = cloud.balancer(subnets=2)
    group = cloud.group()
    cloud.listener(balancer, group)
    one, _ = cloud.instance(subnet=2)
    cloud.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": one}])
    assert cloud.health(group) == {one: ("unused", "Target.NotInUse")}


def test_one_instance_may_serve_on_several_ports(cloud):
    balancer, _ = cloud.balancer()
    group = cloud.group()
    listener = cloud.listener(balancer, group)
    one, app = cloud.instance()
    other = App(app.address, 8081)
    cloud.apps.append(other)
    cloud.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": one}, {"Id": one, "Port": 8081}])

    def states():
        found = cloud.elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [(each["Target"]["Port"], each["HealthCheckPort"], each["TargetHealth"]["State"]) for each in found]

    eventually(lambda: states() == [(8080, "8080", "healthy"), (8081, "8081", "healthy")])
    for _ in range(4):
        httpx.get(f"http://{cloud.address(balancer)}:{listener['Port']}/", trust_env=False)
    assert app.requests
    assert other.requests
    cloud.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": one, "Port": 8081}])
    assert [state for _, _, state in states()] == ["healthy", "draining"]


def test_a_taken_port_is_refused_with_its_holder(cloud):
    balancer, _ = cloud.balancer()
    group = cloud.group()
    with socket.create_server((cloud.address(balancer), 0)) as taken:
        port = taken.getsockname()[1]
        error = refused(cloud.listener, balancer=balancer, group=group, port=port)
        assert error["Code"] == "InvalidConfigurationRequest"
        assert f"process {os.getpid()}" in error["Message"]
        listener = cloud.listener(balancer, group)
        error = refused(cloud.elbv2.modify_listener, ListenerArn=listener["ListenerArn"], Port=port)
        assert error["Code"] == "InvalidConfigurationRequest"
    assert refused(cloud.listener, balancer=balancer, group=group, port=listener["Port"])["Code"] == "DuplicateListener"
    eventually(cloud.balancers.pids)
    cloud.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    cloud.listener(balancer, group, port=listener["Port"])  # its HAProxy may still hold the port
    eventually(lambda: answer(f"http://{cloud.address(balancer)}:{listener['Port']}") == 503)


def test_a_listener_that_cannot_be_had_shows_and_leaves_the_others_working(cloud):
    balancer, _ = cloud.balancer()
    group = cloud.group()
    plain = cloud.listener(balancer, group)
    url = f"http://{cloud.address(balancer)}:{plain['Port']}"
    eventually(lambda: answer(url) == 503)
    pair = {"CertificateBody": "nonsense", "PrivateKey": "nonsense"}
    arn = cloud.iam.upload_server_certificate(ServerCertificateName="bad", **pair)["ServerCertificateMetadata"]["Arn"]
    secure = cloud.listener(balancer, group, Protocol="HTTPS", Certificates=[{"CertificateArn": arn}])

    def state():
        return cloud.elbv2.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]["State"]

    eventually(lambda: state()["Code"] == "active_impaired")
    assert f"listener on port {secure['Port']}: HAProxy refused it: " in state()["Reason"]
    assert "unable to load certificate" in state()["Reason"]
    assert "haproxy.cfg." not in state()["Reason"]  # no file to look at that is gone
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410"}}]
    cloud.elbv2.modify_listener(ListenerArn=plain["ListenerArn"], DefaultActions=fixed)
    eventually(lambda: answer(url) == 410)
    cloud.elbv2.delete_listener(ListenerArn=secure["ListenerArn"])
    eventually(lambda: state() == {"Code": "active"})


def test_rules_and_certificates_become_real(cloud):
    balancer, _ = cloud.balancer()
    group = cloud.group()
    address = cloud.address(balancer)
    plain = cloud.listener(balancer, group, DefaultActions=[
        {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "8443", "StatusCode": "HTTP_301"}},
    ])  # fmt: skip
    rule = cloud.elbv2.create_rule(
        ListenerArn=plain["ListenerArn"],
        Priority=5,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/teapot*"]}},
                    {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "v"}]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "none"}}],
    )["Rules"][0]  # fmt: skip
    certificate = cloud.acm.request_certificate(DomainName="balance.example.org")["CertificateArn"]
    secure = cloud.listener(balancer, group, Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])
    eventually(cloud.balancers.pids)
    url = f"http://{address}:{plain['Port']}"
    eventually(lambda: answer(url) == 301)
    assert httpx.get(url, trust_env=False).headers["location"] == f"https://{address}:8443/"
    # The redirect answered as soon as its listener was there; the rule came with a configuration of its own.
    eventually(lambda: httpx.get(f"{url}/teapot/1?k=v", trust_env=False).text == "none")
    eventually(lambda: answer(f"https://{address}:{secure['Port']}/") == 503)
    cloud.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    eventually(lambda: answer(f"{url}/teapot/1?k=v") == 301)


def answer(url):
    try:
        return httpx.get(url, verify=False, trust_env=False).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"HealthCheckIntervalSeconds": 301}, "ValidationError"),
        ({"HealthyThresholdCount": 11}, "ValidationError"),
        ({"HealthCheckPath": "healthz"}, "ValidationError"),
        ({"Matcher": {"HttpCode": "200;500"}}, "ValidationError"),
        ({"TargetType": "lambda"}, "InvalidConfigurationRequest"),
        ({"Protocol": "TCP"}, "InvalidConfigurationRequest"),
    ],
)
def test_target_groups_that_cannot_be_made_real_are_refused_and_not_kept(cloud, what, code):
    assert refused(cloud.group, **what)["Code"] == code
    assert cloud.elbv2.describe_target_groups()["TargetGroups"] == []


def test_a_refused_change_changes_nothing(cloud):
    group = cloud.group()
    before = cloud.elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    assert (
        refused(cloud.elbv2.modify_target_group, TargetGroupArn=group, HealthCheckPath="x")["Code"] == "ValidationError"
    )
    assert cloud.elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"] == before
    attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": "3601"}
    error = refused(cloud.elbv2.modify_target_group_attributes, TargetGroupArn=group, Attributes=[attribute])
    assert error["Code"] == "ValidationError"


def test_rules_that_say_more_than_themselves_are_refused(cloud):
    balancer, _ = cloud.balancer()
    listener = cloud.listener(balancer, cloud.group())
    condition = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x) -m found", "Values": ["a"]}}
    error = refused(
        cloud.elbv2.create_rule,
        ListenerArn=listener["ListenerArn"],
        Priority=1,
        Conditions=[condition],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )
    assert error["Code"] == "ValidationError"


def test_a_target_must_be_a_running_instance_of_the_network(cloud):
    group = cloud.group()
    assert (
        refused(cloud.elbv2.register_targets, TargetGroupArn=group, Targets=[{"Id": "i-0"}])["Code"] == "InvalidTarget"
    )
    one, _ = cloud.instance()
    cloud.ec2.stop_instances(InstanceIds=[one])
    assert refused(cloud.elbv2.register_targets, TargetGroupArn=group, Targets=[{"Id": one}])["Code"] == "InvalidTarget"


def test_a_balancer_needs_two_zones_a_free_name_and_can_be_protected(cloud):
    assert refused(cloud.balancer, subnets=1)["Code"] == "ValidationError"
    balancer, _ = cloud.balancer()
    assert refused(cloud.balancer)["Code"] == "DuplicateLoadBalancerName"
    second, _ = cloud.balancer("second")
    assert cloud.address(second) == f"{cloud.prefix}.15.249"
    protected = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    cloud.elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=protected)
    assert refused(cloud.elbv2.delete_load_balancer, LoadBalancerArn=balancer)["Code"] == "OperationNotPermitted"


@pytest.mark.parametrize("value", ["x", "0", "4001", "-1", ""])
def test_an_idle_timeout_that_is_none_is_refused(cloud, value):
    arn, _ = cloud.balancer()
    attribute = {"Key": "idle_timeout.timeout_seconds", "Value": value}
    with pytest.raises(ClientError, match="ValidationError"):
        cloud.elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[attribute])
    kept = cloud.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    assert attribute not in kept


def test_classic_load_balancers_are_refused(cloud):
    url = cloud.elbv2.meta.endpoint_url
    classic = boto3.client(
        "elb", endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y"
    )
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
    with pytest.raises(ClientError, match="InvalidAction"):
        classic.create_load_balancer(LoadBalancerName="old", Listeners=[listener], AvailabilityZones=[f"{REGION}a"])
