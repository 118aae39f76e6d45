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
from homeport.region.addresses import claim_network, ensure_free
from homeport.region.metadata import tokens as tokens_module
from homeport.region.metadata.model import InstanceMetadata, Source
from homeport.region.metadata.server import MetadataService, endpoint
from homeport.region.metadata.tokens import Tokens

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
        user_data="I2Nsb3VkLWNvbmZpZwo=",
    )
    assert instance.get("meta-data/tags/instance/").text == "Name\na b"
    assert instance.get("meta-data/tags/instance/Name").text == "web"
    assert instance.get("meta-data/tags/instance/a%20b").content.decode() == "c=d é"
    assert instance.get("meta-data/autoscaling/target-lifecycle-state").text == "InService"
    assert instance.get("user-data").text == "#cloud-config\n"
    instance.data = replace(instance.data, lifecycle_state="Terminated")
    assert instance.get("meta-data/autoscaling/target-lifecycle-state").text == "Terminated"


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
