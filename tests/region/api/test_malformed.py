"""Requests that no SDK sends: each is answered soon, and never with a 5xx."""

import contextlib
import socket

import boto3
import pytest
from botocore.config import Config

from homeport.region.api.server import ApiServer

SECONDS = 20.0
"""How long an answer may take before it counts as none; it takes milliseconds."""
FORM = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
JSON = "Content-Type: application/x-amz-json-1.0\r\n"


@pytest.fixture(scope="module")
def api():
    server = ApiServer(0)
    server.start()
    yield server
    server.close()


def signed(service):
    scope = f"k/20260101/eu-central-1/{service}/aws4_request"
    return f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n"


def request(line="POST / HTTP/1.1", headers="", body=b"", length=None):
    count = len(body) if length is None else length
    counted = f"Content-Length: {count}\r\n" if count != "" else ""
    return f"{line}\r\nHost: 127.0.0.1\r\n{counted}{headers}\r\n".encode("latin-1") + body


def answer(api, raw, *, ends=False):
    """Send bytes as they are; return the status, 0 for a connection closed without an answer, and all that came."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=SECONDS) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        came = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in came and (chunk := connection.recv(65536)):
                came += chunk
            head, _, body = came.partition(b"\r\n\r\n")
            while len(body) < _length(head) and (chunk := connection.recv(65536)):
                body += chunk
                came += chunk
    words = came.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") else 0), came


def _length(head):
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    return next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)


def alive(api):
    """The API answers others as before."""
    client = boto3.client(
        "ec2",
        endpoint_url=api.url,
        region_name="eu-central-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )
    return client.describe_vpcs()["Vpcs"]


SERVICES = (
    "ec2",
    "autoscaling",
    "elasticloadbalancing",
    "iam",
    "sts",
    "s3",
    "sqs",
    "dynamodb",
    "ssm",
    "logs",
    "events",
)
BODIES = {
    "nothing": b"",
    "zeros": bytes(64),
    "not utf-8": b"Action=Describe\xff\xfe&\xc3\x28=\x80",
    "half xml": b"<?xml version='1.0'?><A><B>",
    "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "half json": b'{"TableName": "a',
    "a list": b"[1, 2, 3]",
    "a number": b"7",
    "deep json": b"[" * 5000 + b"]" * 5000,
    "no values": b"Action&Version&&&===&=a",
    "twice": b"Action=DescribeVpcs&Action=DescribeSubnets&Version=2016-11-15",
    "odd lists": b"Action=DescribeInstances&InstanceId.x=1&InstanceId.=2&InstanceId.-1=3&Filter.1.Value.9999999999=a",
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", [FORM, JSON, "Content-Type: text/xml\r\n", ""], ids=["form", "json", "xml", "none"])
@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_body(api, service, kind, name):
    status, came = answer(api, request(headers=signed(service) + kind, body=BODIES[name]))
    assert 200 <= status < 500, came[:2000]


@pytest.mark.parametrize(
    ("service", "target"),
    [
        ("dynamodb", "DynamoDB_20120810.ListTables"),
        ("dynamodb", "DynamoDB_20120810.PutItem"),
        ("dynamodb", "."),
        ("ssm", "AmazonSSM.GetParameter"),
        ("sqs", "AmazonSQS.SendMessage"),
        ("logs", "Logs_20140328.PutLogEvents"),
        ("events", "AWSEvents.PutRule"),
        ("ssm", "\u00e9\u00e9"),
        ("kinesis", "Kinesis_20131202.PutRecord"),
    ],
)
@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_body_of_a_known_json_action(api, service, target, name):
    headers = signed(service) + JSON + f"X-Amz-Target: {target}\r\n"
    status, came = answer(api, request(headers=headers, body=BODIES[name]))
    assert 200 <= status < 500, came[:2000]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_a_method_that_the_service_does_not_know(api, service, method):
    for path in ("/", "/nowhere/at/all", "//", "/%00", "/%ff%fe", "/?Action=", "/?Action=DescribeVpcs"):
        status, came = answer(api, request(f"{method} {path} HTTP/1.1", signed(service)), ends=True)
        assert 0 <= status < 500, (path, came[:2000])
    alive(api)


@pytest.mark.parametrize("length", ["-1", "-99999999999", "x", "1e3", "0x10", "+5", "1, 2", "9" * 40, " "])
def test_a_length_that_is_no_length(api, length):
    status, came = answer(
        api, request(headers=signed("ec2") + FORM, body=b"Action=DescribeVpcs", length=length), ends=True
    )
    assert 0 <= status < 500, came[:2000]
    assert status >= 400 or status == 0 or length in ("+5", " "), came[:2000]
    alive(api)


def test_a_body_that_is_cut_short(api):
    raw = request(headers=signed("ec2") + FORM, body=b"Action=DescribeVpcs&Version=2016-11-15", length=5000)
    status, came = answer(api, raw, ends=True)
    assert 0 <= status < 500, came[:2000]
    alive(api)


def chunked(*chunks, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


@pytest.mark.parametrize(
    ("body", "good"),
    [
        (chunked(b"Action=Describe", b"Vpcs&Version=2016-11-15"), True),
        (chunked(), False),
        (b"zz\r\nAction\r\n0\r\n\r\n", False),
        (b"-5\r\nAction\r\n0\r\n\r\n", False),
        (b"ffffffffffffffff\r\nAction\r\n", False),
        (chunked(b"Action=DescribeVpcs", end=b""), False),
    ],
    ids=["good", "empty", "no number", "negative", "huge", "no end"],
)
def test_a_body_in_chunks(api, body, good):
    headers = signed("ec2") + FORM + "Transfer-Encoding: chunked\r\n"
    status, came = answer(api, request(headers=headers, body=body, length=""), ends=True)
    assert 0 <= status < 500, came[:2000]
    if good:
        assert status == 200, came[:2000]
        assert b"DescribeVpcsResponse" in came
    alive(api)


def test_an_object_in_chunks_arrives_whole(api):
    where = (
        b"<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
    )
    assert answer(api, request("PUT /bucket HTTP/1.1", signed("s3"), where))[0] == 200
    body = chunked(b"one ", b"two ", b"three")
    put = request("PUT /bucket/key HTTP/1.1", signed("s3") + "Transfer-Encoding: chunked\r\n", body, "")
    assert answer(api, put)[0] == 200
    status, came = answer(api, request("GET /bucket/key HTTP/1.1", signed("s3")))
    assert (status, came.partition(b"\r\n\r\n")[2]) == (200, b"one two three")


@pytest.mark.parametrize(
    "headers",
    [
        "X-Long: " + "a" * 70_000 + "\r\n",
        "".join(f"X-{number}: a\r\n" for number in range(200)),
        "no colon at all\r\n",
        ": no name\r\n",
        "X-Fold: a\r\n b\r\n",
        "Authorization: " + "A" * 20_000 + "\r\n",
        "Authorization: AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=, Signature=\r\n",
        "Authorization: Basic eA==\r\n",
        "Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/mars-1/ec2/aws4_request, Signature=0\r\n",
        "Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/eu-central-1/../aws4_request, Signature=0\r\n",
        "Content-Type: \xff\xfe\r\n",
        "X-Amz-Date: yesterday\r\n",
        "X-Amz-Security-Token: nobody's\r\n",
        "Content-Encoding: gzip\r\n",
        "Expect: 200-nonsense\r\n",
    ],
    ids=lambda headers: headers[:24].strip(),
)
def test_odd_headers(api, headers):
    status, came = answer(
        api, request(headers=headers + FORM, body=b"Action=DescribeVpcs&Version=2016-11-15"), ends=True
    )
    assert 0 <= status < 500, came[:2000]
    alive(api)


@pytest.mark.parametrize(
    "raw", [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"a" * 70_000]
)
def test_what_is_no_request(api, raw):
    status, came = answer(api, raw, ends=True)
    assert status < 500 or status == 505, came[:2000]
    alive(api)


def test_a_request_without_a_signature(api):
    body = b"Action=DescribeVpcs&Version=2016-11-15"
    status, came = answer(api, request(headers=FORM, body=body))
    assert 200 <= status < 500, came[:2000]


@pytest.mark.parametrize(
    ("service", "version"),
    [
        ("ec2", "2016-11-15"),
        ("autoscaling", "2011-01-01"),
        ("elasticloadbalancing", "2015-12-01"),
        ("iam", "2010-05-08"),
        ("sqs", "2012-11-05"),
    ],
)
def test_an_action_that_nobody_knows(api, service, version):
    body = f"Action=Frobnicate&Version={version}".encode()
    status, came = answer(api, request(headers=signed(service) + FORM, body=body))
    assert status == 400
    assert b"InvalidAction" in came


def test_a_field_that_nobody_knows_is_ignored(api):
    body = b"Action=DescribeVpcs&Version=2016-11-15&Frobnicate.1=a&VpcId.1.Deep.2=b"
    status, came = answer(api, request(headers=signed("ec2") + FORM, body=body))
    assert 200 <= status < 500, came[:2000]
    body = b"Action=DescribeAutoScalingGroups&Version=2011-01-01&Frobnicate.member.1=a"
    status, came = answer(api, request(headers=signed("autoscaling") + FORM, body=body))
    # Auto Scaling needs a region behind it, which this API alone has not.
    assert 200 <= status < 500, came[:2000]


def test_a_service_that_nobody_knows(api):
    status, came = answer(api, request(headers=signed("frobnicate") + FORM, body=b"Action=A"))
    assert 400 <= status < 500, came[:2000]
