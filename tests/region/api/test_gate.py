import contextlib
import io
import json
import socket
import threading
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from homeport.errors import HomeportError
from homeport.region.api.errors import Refusal
from homeport.region.api.gate import MAX_BODY_BYTES, Gate
from homeport.region.api.server import ApiServer
from homeport.system.addresses import ensure_free


class Seen:
    """What the hooks were told."""

    def __init__(self):
        self.before, self.after, self.refuse = [], [], set()

    def on_before(self, call):
        self.before.append(call)
        if call.action in self.refuse:
            raise Refusal("AccessDenied", "the test refuses it", 403)

    def on_after(self, call, status):
        self.after.append((call.service, call.action, status))


@pytest.fixture(scope="module")
def seen():
    return Seen()


@pytest.fixture(scope="module")
def api(seen):
    server = ApiServer(0, before=[seen.on_before], after=[seen.on_after])
    server.start()
    yield server
    server.close()


@pytest.fixture
def client(api):
    def make(service):
        return boto3.client(
            service,
            endpoint_url=api.url,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make


def get(api, path="/", **headers):
    request = urllib.request.Request(api.url + path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    with contextlib.suppress(urllib.error.HTTPError):
        return urllib.request.urlopen(request).status
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("ec2", "describe_instance_topology", {}),
        ("dynamodb", "list_imports", {}),
        ("cloudwatch", "list_managed_insight_rules", {"ResourceARN": "arn:aws:x:y:z:1:a"}),
        ("eks", "list_insights", {"clusterName": "c"}),
        ("evs", "list_environments", {}),
        ("iam", "generate_service_last_accessed_details", {"Arn": "arn:aws:iam::123456789012:role/abcdef"}),
    ],
)
def test_an_unknown_action_is_answered_at_once_in_the_service_s_own_protocol(
    client, seen, service, operation, parameters
):
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)(**parameters)
    assert caught.value.response["Error"]["Code"] == "InvalidAction"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_hooks_see_who_asks_for_what(client, seen):
    client("ec2").describe_vpcs()
    call = seen.before[-1]
    assert (call.service, call.action, call.region, call.access_key_id) == (
        "ec2",
        "DescribeVpcs",
        "eu-central-1",
        "test",
    )
    assert seen.after[-1] == ("ec2", "DescribeVpcs", 200)


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("ec2", "describe_vpcs", "DescribeVpcs"),
        ("dynamodb", "list_tables", "ListTables"),
        ("s3", "list_buckets", "GET /"),
    ],
)
def test_a_hook_s_refusal_reaches_the_sdk_as_its_error(client, seen, service, operation, action):
    seen.refuse = {action}
    try:
        with pytest.raises(ClientError) as caught:
            getattr(client(service), operation)()
    finally:
        seen.refuse = set()
    assert (
        caught.value.response["Error"]
        == {"Code": "AccessDenied", "Message": "the test refuses it"} | (caught.value.response["Error"])
    )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_moto_s_controls_and_metadata_are_closed(api):
    assert get(api, "/moto-api/reset") == 403
    assert get(api, "/moto-api/data.json") == 403
    assert get(api, "/latest/meta-data/iam/") == 403


def test_browsers_and_foreign_names_are_refused(api):
    assert get(api, Origin="http://example.org") == 403
    assert get(api, Host="example.org") == 403
    assert get(api, Host="127.0.0.1.example.org") == 403
    assert get(api, Host="s3.localhost.localstack.cloud:4566") != 403
    assert get(api, Host=f"bucket.localhost:{api.port}") != 403


def test_a_body_that_is_too_large_is_refused_before_it_is_read(api):
    request = urllib.request.Request(
        api.url, data=b"x", method="PUT", headers={"Content-Length": str(MAX_BODY_BYTES + 1)}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 413


def test_a_fault_inside_is_no_5xx_that_an_sdk_would_repeat(client, api, monkeypatch):
    def broken(environ, start_response):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(api.gate, "_application", broken)
    with pytest.raises(ClientError) as caught:
        client("ec2").describe_vpcs()
    assert caught.value.response["Error"]["Code"] == "InternalFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_long_poll_stalls_nobody(client):
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="long-poll")["QueueUrl"]
    polling, answer = threading.Event(), []

    def poll():
        polling.set()
        answer.append(client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20))

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    polling.wait(10)
    for _ in range(20):
        client("ec2").describe_vpcs()
        sqs.get_queue_attributes(QueueUrl=url)
    assert thread.is_alive()
    sqs.send_message(QueueUrl=url, MessageBody="come home")
    thread.join(20)
    assert answer[0]["Messages"][0]["Body"] == "come home"


def test_threads_may_call_at_once(client):
    faults = []

    def call(number):
        try:
            ec2 = client("ec2")
            for _ in range(10):
                vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
                ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")
                ec2.describe_subnets()
                ec2.describe_network_interfaces()
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def most_at_once(service, action):
    """Return how many of eight calls at once were inside a service at the same moment."""
    inside, most, counting, all_in = 0, 0, threading.Lock(), threading.Event()

    def application(environ, start_response):
        nonlocal inside, most
        with counting:
            inside += 1
            most = max(most, inside)
            if inside == 8:
                all_in.set()
        # Whoever may come in has time to.
        all_in.wait(0.1)
        with counting:
            inside -= 1
        start_response("200 OK", [])
        return [b""]

    gate = Gate(application)

    def call():
        body = f"Action={action}".encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "HTTP_HOST": "127.0.0.1",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=k/20260101/eu-central-1/{service}/aws4_request, x",
            "wsgi.input": io.BytesIO(body),
        }
        gate(environ, lambda *_: None)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most


@pytest.mark.parametrize(
    ("service", "action", "most"),
    [("ec2", "DescribeVpcs", 1), ("sqs", "SendMessage", 1), ("sqs", "ReceiveMessage", 8), ("autoscaling", "X", 8)],
)
def test_moto_is_entered_by_one_call_at_a_time(service, action, most):
    assert most_at_once(service, action) == most


def test_json_errors_are_json(api):
    scope = "Credential=k/20260101/eu-central-1/dynamodb/aws4_request"
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.NoSuchThing",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
    }
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(api.url, data=b"{}", headers=headers))
    assert json.loads(caught.value.read())["__type"].endswith("InvalidAction")


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential=x/nodate/eu-central-1/autoscaling/aws4_request, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/ec2/aws4_request/autoscaling, Signature=0",
        "AWS x:y",
        "Basic eDp5",
    ],
)
def test_a_signature_of_another_form_is_refused_before_anybody_reads_it_differently(api, seen, authorization):
    calls = len(seen.before)
    data = b"Action=DescribeAutoScalingGroups&Version=2011-01-01"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(api.url, data=data, headers={"Authorization": authorization}))
    assert b"IncompleteSignature" in caught.value.read()
    assert len(seen.before) == calls


def test_it_answers_on_further_addresses_at_the_same_port():
    server = ApiServer(0, also=["127.0.0.77"])
    server.start()
    try:
        for address in ("127.0.0.1", "127.0.0.77"):
            urllib.request.urlopen(f"http://{address}:{server.port}/?Action=GetCallerIdentity&Version=2011-06-15")
    finally:
        server.close()
    for address in ("127.0.0.1", "127.0.0.77"):
        ensure_free(address, server.port)


def test_a_further_address_that_is_taken_leaves_nothing_listening():
    with socket.create_server(("127.0.0.77", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HomeportError, match=f"port {port} on 127.0.0.77 is taken"):
            ApiServer(port, also=["127.0.0.77"])
        ensure_free("127.0.0.1", port)


@pytest.mark.parametrize(("host", "admitted"), [("10.64.0.1:4566", True), ("10.64.0.2:4566", False), ("evil", False)])
def test_callers_name_this_machine_or_an_address_that_was_opened_to_them(host, admitted):
    gate = Gate(lambda environ, start: start("200 OK", []) or [b""], also=["10.64.0.1"])
    statuses = []
    gate({"REQUEST_METHOD": "GET", "HTTP_HOST": host}, lambda status, _: statuses.append(status))
    assert statuses == ["200 OK" if admitted else "403 Forbidden"]
