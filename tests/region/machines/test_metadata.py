import contextlib
import http.client
import json
import os
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import httpx
import pytest
from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.region.metadata import tokens as tokens_module
from homeport.region.metadata.model import InstanceMetadata, Interface, Source
from homeport.region.metadata.server import MetadataService, endpoint
from homeport.region.metadata.tokens import Tokens
from homeport.system.addresses import claim_network, ensure_free

CLIENT = httpx.Client(verify=False, trust_env=False, headers={"Connection": "close"})
TOKEN = "X-aws-ec2-metadata-token"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
DATA = InstanceMetadata(
    instance_id="i-0123456789abcdef0",
    image_id="ami-0123456789abcdef0",
    instance_type="t3.micro",
    address="127.210.0.4",
    hostname="ip-127-210-0-4.eu-central-1.compute.internal",
    mac="02:00:7f:d2:00:04",
    zone="eu-central-1a",
    region_name="eu-central-1",
    account_id="123456789012",
    launched_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


class Instance:
    """An instance whose facts a test changes, and the keys that it was given."""

    def __init__(self, address):
        self.address = address
        self.data = replace(DATA, address=address)
        self.life = timedelta(hours=1)
        self.issued = []

    def source(self):
        return Source(lambda: self.data, self.credentials)

    def credentials(self, role):
        self.issued.append(role)
        number = len(self.issued)
        return {
            "AccessKeyId": f"ASIA{number}",
            "SecretAccessKey": f"secret-{number}",
            "SessionToken": f"session-{number}",
            "Expiration": datetime.now(UTC) + self.life,
        }

    def ask(self, path, **headers):
        return CLIENT.get(endpoint(self.address) + path, headers=headers)

    def put(self, seconds="60", **headers):
        return CLIENT.put(endpoint(self.address) + "/latest/api/token", headers={TTL: seconds, **headers})

    def get(self, path):
        return self.ask(f"/latest/{path}", **{TOKEN: self.put().text})


@pytest.fixture(scope="module")
def network():
    with claim_network(210, 240) as claim:
        yield claim.network


@pytest.fixture
def service():
    service = MetadataService()
    yield service
    service.close()


@pytest.fixture
def instance(service, network):
    instance = Instance(str(network[4]))
    service.start(instance.address, instance.source())
    return instance


def test_a_token_opens_the_door(instance):
    answer = instance.put("21600")
    assert (answer.status_code, answer.headers[TTL]) == (200, "21600")
    assert instance.ask("/latest/meta-data/instance-id", **{TOKEN: answer.text}).text == DATA.instance_id


@pytest.mark.parametrize("seconds", ["0", "21601", "-1", "", "x", "1.5", "²"])
def test_a_token_needs_a_life_between_one_second_and_six_hours(instance, seconds):
    assert instance.put(seconds.encode()).status_code == 400


def test_a_token_needs_its_header(instance):
    assert CLIENT.put(endpoint(instance.address) + "/latest/api/token").status_code == 400


def test_a_forwarded_request_gets_no_token(instance):
    assert instance.put(**{"X-Forwarded-For": "10.0.0.1"}).status_code == 403


@pytest.mark.parametrize("token", ["", "x", "x" * 75, "AAAA" * 19])
def test_without_a_good_token_nothing_is_told(instance, service, network, token):
    instance.data = replace(instance.data, role="app")
    other = Instance(str(network[5]))
    service.start(other.address, other.source())
    for path in ("/", "/latest/meta-data/", "/latest/meta-data/iam/security-credentials/app", "/latest/nothing"):
        assert instance.ask(path).status_code == 401
        assert instance.ask(path, **{TOKEN: token}).status_code == 401
        assert instance.ask(path, **{TOKEN: other.put().text}).status_code == 401
    assert instance.issued == []


def test_version_one_works_where_tokens_are_optional(instance):
    instance.data = replace(instance.data, tokens_required=False)
    assert instance.ask("/latest/meta-data/instance-id").text == DATA.instance_id
    assert instance.ask("/latest/meta-data/instance-id", **{TOKEN: "x"}).status_code == 401


def test_a_disabled_endpoint_refuses_everything(instance):
    token = instance.put().text
    instance.data = replace(instance.data, enabled=False)
    assert instance.put().status_code == 403
    assert instance.ask("/latest/meta-data/", **{TOKEN: token}).status_code == 403


def test_a_token_ends(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(tokens_module.time, "monotonic", lambda: now)
    tokens = Tokens()
    token = tokens.issue(10)
    assert tokens.good(token)
    now += 9.9
    assert tokens.good(token)
    now += 0.1
    assert not tokens.good(token)


@settings(deadline=None)
@given(st.text())
def test_nobody_guesses_a_token(text):
    assert not Tokens().good(text)


@settings(deadline=None)
@given(st.integers(0, 75), st.sampled_from("Aa0-_"))
def test_a_changed_token_is_none(position, character):
    tokens = Tokens()
    token = tokens.issue(60)
    changed = token[:position] + character + token[position + 1 :]
    assert tokens.good(changed) == (changed == token)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/ami-id", DATA.image_id),
        ("meta-data/instance-type", "t3.micro"),
        ("meta-data/local-hostname", DATA.hostname),
        ("meta-data/mac", DATA.mac),
        ("meta-data/placement/availability-zone", "eu-central-1a"),
        ("meta-data/placement/availability-zone/", "eu-central-1a"),
        ("meta-data/placement/region", "eu-central-1"),
        ("meta-data/placement/", "availability-zone\nregion"),
        ("meta-data/placement", "availability-zone\nregion"),
        ("", "dynamic/\nmeta-data/"),
        ("dynamic/instance-identity/", "document"),
    ],
)
def test_the_categories(instance, path, text):
    answer = instance.get(path)
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["content-type"].startswith("text/plain")
    dated = instance.ask(f"/2021-03-23/{path}", **{TOKEN: instance.put().text})
    assert dated.text == text


@pytest.mark.parametrize(
    "path",
    [
        "user-data",
        "meta-data/iam/info",
        "meta-data/iam/security-credentials/",
        "meta-data/tags/instance/Name",
        "meta-data/autoscaling/target-lifecycle-state",
        "meta-data/nothing",
        "meta-data/ami-id/x",
        "api",
        "%00",
    ],
)
def test_what_is_not_there_is_not_found(instance, path):
    assert instance.get(path).status_code == 404


def test_other_methods_are_refused(instance):
    assert CLIENT.post(endpoint(instance.address) + "/latest/meta-data/").status_code == 405
    assert CLIENT.head(endpoint(instance.address) + "/latest/meta-data/").status_code == 401


def test_facts_follow_the_instance(instance):
    instance.data = replace(
        instance.data,
        tags={"Name": "web", "a b": "c=d é"},
        lifecycle_state="InService",
        user_data=b"#cloud-config\n",
    )
    assert instance.get("meta-data/tags/instance/").text == "Name\na b"
    assert instance.get("meta-data/tags/instance/Name").text == "web"
    assert instance.get("meta-data/tags/instance/a%20b").content.decode() == "c=d é"
    assert instance.get("meta-data/autoscaling/target-lifecycle-state").text == "InService"
    assert instance.get("user-data").text == "#cloud-config\n"
    instance.data = replace(instance.data, lifecycle_state="Terminated")
    assert instance.get("meta-data/autoscaling/target-lifecycle-state").text == "Terminated"


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b\x08\0\xff", b"#!/bin/sh\n\xe9\r\n", b"I2Nsb3VkLWNvbmZpZwo=", b"\0" * 16384]
)
def test_user_data_arrives_byte_for_byte(instance, data):
    instance.data = replace(instance.data, user_data=data)
    assert instance.get("user-data").content == data


INTERFACE = Interface(
    mac=DATA.mac,
    interface_id="eni-1",
    device_number=0,
    owner_id=DATA.account_id,
    hostname=DATA.hostname,
    addresses=("127.210.0.4", "127.210.0.5"),
    subnet_id="subnet-1",
    subnet_range="127.210.0.0/20",
    vpc_id="vpc-1",
    vpc_ranges=("127.210.0.0/16", "127.211.0.0/16"),
    security_groups=(("sg-1", "one"), ("sg-2", "two")),
)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/public-keys/", "0=my key"),
        ("meta-data/public-keys/0", "openssh-key"),
        ("meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA my key"),
        ("meta-data/block-device-mapping/", "ami\nebs1\nroot"),
        ("meta-data/block-device-mapping/ebs1", "/dev/sdf"),
        ("meta-data/network/interfaces/macs/", f"{DATA.mac}/"),
        (f"meta-data/network/interfaces/macs/{DATA.mac}/device-number", "0"),
        (f"meta-data/network/interfaces/macs/{DATA.mac}/local-ipv4s", "127.210.0.4\n127.210.0.5"),
        (f"meta-data/network/interfaces/macs/{DATA.mac}/subnet-ipv4-cidr-block", "127.210.0.0/20"),
        (f"meta-data/network/interfaces/macs/{DATA.mac}/vpc-ipv4-cidr-block", "127.210.0.0/16"),
        (f"meta-data/network/interfaces/macs/{DATA.mac}/security-group-ids", "sg-1\nsg-2"),
        ("meta-data/security-groups", "one\ntwo"),
        ("meta-data/reservation-id", "r-1"),
        ("meta-data/ami-launch-index", "3"),
        ("meta-data/instance-life-cycle", "on-demand"),
        ("meta-data/services/domain", "amazonaws.com"),
        ("meta-data/tags/instance/a/b", "c"),
    ],
)
def test_what_depends_on_the_launch(instance, path, text):
    instance.data = replace(
        instance.data,
        key_name="my key",
        public_key="ssh-ed25519 AAAA my key",
        volumes=("/dev/sdf",),
        interfaces=(INTERFACE,),
        reservation_id="r-1",
        launch_index=3,
        tags={"a/b": "c"},
    )
    assert instance.get(path).text == text


def test_everything_that_is_listed_is_there(instance):
    """As cloud-init reads it, in one pass: what is missing fails the whole data source."""
    instance.data = replace(
        instance.data, key_name="k", public_key="ssh-rsa A k", interfaces=(INTERFACE,), tags={"a": "b"}
    )
    token = {TOKEN: instance.put().text}
    folders, leaves = ["/2021-03-23/meta-data/", "/latest/dynamic/"], 0
    while folders:
        folder = folders.pop()
        for name in instance.ask(folder, **token).text.splitlines():
            path = folder + (name.partition("=")[0] + "/" if "=" in name else name)
            if path.endswith("/"):
                folders.append(path)
                continue
            assert instance.ask(path, **token).status_code == 200, path
            leaves += 1
    assert leaves > 30


def test_versions_are_listed_and_no_others_are_known(instance):
    token = {TOKEN: instance.put().text}
    versions = instance.ask("/", **token).text.splitlines()
    assert versions[-1] == "latest"
    assert {"1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23"} < set(versions)
    for version in versions:
        assert instance.ask(f"/{version}/meta-data/instance-id", **token).status_code == 200
    for version in ("2030-01-01", "2021-03-24", "api", "latest2"):
        answer = instance.ask(f"/{version}/meta-data/instance-id", **token)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html")


def test_the_identity_document(instance):
    document = json.loads(instance.get("dynamic/instance-identity/document").text)
    assert document["instanceId"] == DATA.instance_id
    assert document["privateIp"] == instance.address
    assert document["pendingTime"] == "2026-01-02T03:04:05Z"
    assert document["region"] == "eu-central-1"


def test_keys_are_kept_for_half_their_life_and_then_issued_anew(instance):
    instance.data = replace(instance.data, role="app", instance_profile_arn="arn:aws:iam::1:instance-profile/app")
    path = "meta-data/iam/security-credentials/app"
    first = json.loads(instance.get(path).text)
    assert set(first) == {"Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert first["Token"] == "session-1"
    assert json.loads(instance.get(path).text) == first
    assert json.loads(instance.get("meta-data/iam/info").text)["InstanceProfileArn"].endswith("/app")
    assert instance.issued == ["app"]
    instance.data = replace(instance.data, role="other")
    instance.life = timedelta(0)
    other = "meta-data/iam/security-credentials/other"
    assert json.loads(instance.get(other).text)["Token"] == "session-2"
    assert json.loads(instance.get(other).text)["Token"] == "session-3"
    assert instance.get(path).status_code == 404


@pytest.fixture
def on_the_instance(instance, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint(instance.address))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    instance.data = replace(instance.data, role="app")
    return instance


def test_boto3_finds_its_role(on_the_instance):
    credentials = boto3.Session().get_credentials()
    assert credentials.method == "iam-role"
    assert tuple(credentials.get_frozen_credentials())[:3] == ("ASIA1", "secret-1", "session-1")


def test_botocore_reads_keys_and_zone(on_the_instance):
    config = {"ec2_metadata_service_endpoint": endpoint(on_the_instance.address)}
    keys = InstanceMetadataFetcher(timeout=5, num_attempts=1, config={**config, "ec2_metadata_v1_disabled": True})
    assert keys.retrieve_iam_role_credentials()["role_name"] == "app"
    assert InstanceMetadataRegionFetcher(timeout=5, config=config).retrieve_region() == "eu-central-1"


def test_a_listener_ends_at_once_even_with_a_client_connected(service, network):
    threads = set(threading.enumerate())
    instance = Instance(str(network[8]))
    instance.data = replace(instance.data, tokens_required=False)
    service.start(instance.address, instance.source())
    client = http.client.HTTPConnection(instance.address, 1338)
    client.request("GET", "/latest/meta-data/")
    assert client.getresponse().read()
    service.stop(instance.address)
    ensure_free(instance.address, 1338)
    service.stop(instance.address)
    assert set(threading.enumerate()) == threads
    client.close()


def test_starting_again_replaces_the_source(service, instance):
    service.start(instance.address, Source(lambda: replace(instance.data, instance_id="i-2"), instance.credentials))
    assert instance.get("meta-data/instance-id").text == "i-2"


def test_a_taken_port_names_its_holder(service, network):
    address = str(network[7])
    with socket.create_server((address, 1338)), pytest.raises(HomeportError, match=f"process {os.getpid()}"):
        service.start(address, Instance(address).source())
    service.start(address, Instance(address).source())


def test_many_instances_ask_at_once(service, network):
    instances = [Instance(str(network[20 + number])) for number in range(12)]
    for instance in instances:
        service.start(instance.address, instance.source())
    wrong = []

    def ask(instance):
        wrong.extend(1 for _ in range(10) if instance.get("meta-data/local-ipv4").text != instance.address)

    askers = [threading.Thread(target=ask, args=[instance]) for instance in instances]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert wrong == []
    service.close()
    for instance in instances:
        ensure_free(instance.address, 1338)


class Shared:
    """A service that all instances ask at one address, each from its own."""

    def __init__(self, service, address):
        self.service, self.address = service, address
        service.listen(address)

    def add(self, address):
        instance = Instance(address)
        self.service.start(address, instance.source())
        return instance

    def ask(self, source, path="/latest/meta-data/local-ipv4", method="GET", **headers):
        connection = http.client.HTTPConnection(self.address, 1338, source_address=(source, 0))
        with contextlib.closing(connection):
            connection.request(method, path, headers={TTL: "60"} if method == "PUT" else headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def token(self, source):
        return self.ask(source, "/latest/api/token", "PUT")[1]


@pytest.fixture
def shared(service, network):
    return Shared(service, str(network[1]))


def test_on_a_shared_listener_the_source_address_tells_who_asks(shared, network):
    one, two = (shared.add(str(network[number])) for number in (30, 31))
    for instance in (one, two):
        token = {TOKEN: shared.token(instance.address)}
        assert shared.ask(instance.address, **token) == (200, instance.address)
    assert shared.ask(two.address, **{TOKEN: shared.token(one.address)})[0] == 401
    # Nothing listens where the instances are.
    ensure_free(one.address, 1338)


def test_who_is_no_instance_is_told_nothing(shared, network):
    one = shared.add(str(network[30]))
    token = {TOKEN: shared.token(one.address)}
    stranger = str(network[40])
    assert shared.ask(stranger, "/latest/api/token", "PUT")[0] == 404
    for path in ("/", "/latest/meta-data/", "/latest/user-data"):
        assert shared.ask(stranger, path, **token)[0] == 404
    shared.service.stop(one.address)
    assert shared.ask(one.address, **token)[0] == 404
    shared.service.close()
    ensure_free(shared.address, 1338)


def test_a_service_listens_in_one_way(service, network):
    service.start(str(network[30]), Instance(str(network[30])).source())
    with pytest.raises(RuntimeError):
        service.listen(str(network[1]))


def test_a_token_travels_as_far_as_its_hop_limit(shared, network, monkeypatch):
    """The limit stands in the packets that carry the token, and in no others."""
    sent = []
    real = socket.socket.setsockopt

    class Recording(socket.socket):
        def setsockopt(self, level, option, value):
            if (level, option) == (socket.IPPROTO_IP, socket.IP_TTL):
                sent.append(value)
            real(self, level, option, value)

    monkeypatch.setattr(socket, "socket", Recording)
    one = shared.add(str(network[30]))
    one.data = replace(one.data, hop_limit=3)
    token = shared.token(one.address)
    assert sent == [3]
    assert shared.ask(one.address, **{TOKEN: token}) == (200, one.address)
    assert sent == [3, 64]
