"""What every service answers, measures and logs."""

import re
from pathlib import Path

import httpx
import pytest
from conftest import Start
from instance import Connection, Instance, eventually
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families

_MADE_ID = re.compile(r"[0-9a-f]{32}")


def is_problem(answer: httpx.Response, status: int) -> bool:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert _MADE_ID.fullmatch(answer.headers["X-Request-Id"])
    body = answer.json()
    assert body["type"] == "about:blank"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return True


def count(instance: Instance, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{instance.url}/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_health_readiness_version(sample: Instance) -> None:
    assert httpx.get(f"{sample.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{sample.url}/readyz").json() == {"status": "ready"}
    assert httpx.get(f"{sample.url}/version").json() == {
        "service": "sample",
        "environment": "local",
        "revision": "abc123",
        "image": "unknown",
        "built_at": "unknown",
    }


def test_a_failing_check_is_named_and_liveness_does_not_care(sample: Instance) -> None:
    broken = sample.folder / "backend.broken"
    broken.touch()
    try:
        answer = httpx.get(f"{sample.url}/readyz")
        assert is_problem(answer, 503)
        assert answer.json()["failing"] == ["backend"]
        assert httpx.get(f"{sample.url}/healthz").status_code == 200
    finally:
        broken.unlink()
    assert httpx.get(f"{sample.url}/readyz").status_code == 200


def test_the_openapi_document_is_valid_and_describes_the_routes(sample: Instance) -> None:
    document = httpx.get(f"{sample.url}/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "sample"
    assert {"/healthz", "/readyz", "/metrics", "/version", "/openapi.json", "/lines"} <= set(document["paths"])
    lines = document["paths"]["/lines"]["post"]
    assert {"201", "400", "413", "422", "default"} == set(lines["responses"])
    assert lines["requestBody"]["content"]["application/json"]["schema"]["items"] == {
        "$ref": "#/components/schemas/Line"
    }
    assert document["paths"]["/refusals/{status}"]["get"]["parameters"][0]["schema"] == {
        "type": "integer",
        "minimum": 400,
        "maximum": 499,
    }


def test_the_balance_document_is_valid(balance: Instance) -> None:
    OpenAPIV31SpecValidator(httpx.get(f"{balance.url}/openapi.json").json()).validate()


def test_unknown_path(sample: Instance) -> None:
    assert is_problem(httpx.get(f"{sample.url}/nowhere"), 404)


def test_wrong_method_names_the_right_ones(sample: Instance) -> None:
    answer = httpx.put(f"{sample.url}/lines")
    assert is_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"
    assert httpx.delete(f"{sample.url}/gates/a").headers["Allow"] == "GET, HEAD"


def test_a_good_body(sample: Instance) -> None:
    sent = [{"sku": "a", "quantity": 2}]
    answer = httpx.post(f"{sample.url}/lines", json=sent)
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"lines": sent}


@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b'["\xff"]', b"[1],"])
def test_a_body_that_is_not_json(sample: Instance, body: bytes) -> None:
    assert is_problem(httpx.post(f"{sample.url}/lines", content=body), 400)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"sku": "a", "quantity": "2"}, "$[0].quantity"),
        ({"sku": "a", "quantity": 0}, "$[0].quantity"),
        ({"sku": "a"}, "quantity"),
        ({"sku": "a", "quantity": 1, "surplus": 1}, "surplus"),
    ],
)
def test_a_body_of_wrong_shape_names_the_place(sample: Instance, line: dict[str, object], told: str) -> None:
    answer = httpx.post(f"{sample.url}/lines", json=[line])
    assert is_problem(answer, 422)
    assert told in answer.json()["detail"]


def test_the_body_limit_is_exact(sample: Instance) -> None:
    head, tail = b'[{"quantity": 1, "sku": "', b'"}]'
    fits = head + b"a" * (1000 - len(head) - len(tail)) + tail
    assert httpx.post(f"{sample.url}/lines", content=fits).status_code == 201
    assert is_problem(httpx.post(f"{sample.url}/lines", content=fits + b" "), 413)


def test_a_chunked_body_over_the_limit(sample: Instance) -> None:
    answer = httpx.post(f"{sample.url}/lines", content=iter([b"x" * 600, b"x" * 600]))
    assert is_problem(answer, 413)


def test_a_far_too_large_body_still_gets_its_answer(sample: Instance) -> None:
    """Far more than socket buffers hold: closing at once would reset the connection before the client reads."""
    assert is_problem(httpx.post(f"{sample.url}/lines", content=b"x" * 30_000_000), 413)


def test_a_parameter_of_wrong_type(sample: Instance) -> None:
    assert is_problem(httpx.get(f"{sample.url}/refusals/many"), 422)
    assert is_problem(httpx.get(f"{sample.url}/refusals/500"), 422)


def test_a_handlers_own_problem(sample: Instance) -> None:
    answer = httpx.get(f"{sample.url}/refusals/409")
    assert is_problem(answer, 409)
    assert answer.headers["Retry-After"] == "7"
    assert answer.json()["reason"] == "asked"


def test_a_failure_is_logged_with_its_request_id_and_not_told(sample: Instance) -> None:
    answer = httpx.get(f"{sample.url}/failures/secret-text")
    assert is_problem(answer, 500)
    assert "secret-text" not in answer.text
    [line] = eventually(
        lambda: [
            line for line in sample.events("request failed") if line["request_id"] == answer.headers["X-Request-Id"]
        ],
        "the failure's log line",
    )
    assert line["level"] == "error"
    assert line["route"] == "/failures/{text}"
    assert "RuntimeError" in line["exception"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nBad Header\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", 431),
    ],
)
def test_a_request_that_waitress_refuses_is_a_problem_too(sample: Instance, sent: bytes, status: int) -> None:
    connection = sample.connect()
    connection.socket.sendall(sent)
    assert is_problem(connection.receive(), status)
    assert connection.is_ended()
    connection.close()


def test_head_has_the_headers_alone(sample: Instance) -> None:
    connection = sample.connect()
    connection.send("/version", "Connection: close", method="HEAD")
    received = b""
    while data := connection.socket.recv(65536):
        received += data
    connection.close()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b""
    assert f"Content-Length: {len(httpx.get(f'{sample.url}/version').content)}\r\n".encode() in head


def test_the_callers_request_id_is_kept_when_well_formed(sample: Instance) -> None:
    for path, status in (("/healthz", 200), ("/nowhere", 404), ("/failures/x", 500)):
        answer = httpx.get(f"{sample.url}{path}", headers={"X-Request-Id": "caller-1"})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (status, "caller-1")
    for bad in ("", "a b", 'a"b', "a" * 129):
        answer = httpx.get(f"{sample.url}/healthz", headers={"X-Request-Id": bad})
        assert _MADE_ID.fullmatch(answer.headers["X-Request-Id"])


def test_one_log_line_a_request_without_path_query_or_body(sample: Instance) -> None:
    sent = [{"sku": "private-sku", "quantity": 1}]
    answer = httpx.post(f"{sample.url}/lines?private=query", json=sent, headers={"X-Request-Id": "logged-1"})
    refused = httpx.get(f"{sample.url}/private-path")
    assert answer.status_code == 201
    [line] = eventually(
        lambda: [line for line in sample.events("request") if line["request_id"] == "logged-1"], "the log line"
    )
    assert line.pop("duration_ms") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "service": "sample",
        "environment": "local",
        "event": "request",
        "method": "POST",
        "route": "/lines",
        "status": 201,
        "request_id": "logged-1",
    }
    eventually(
        lambda: any(line.get("request_id") == refused.headers["X-Request-Id"] for line in sample.lines()), "its line"
    )
    assert "private" not in sample.log_file.read_text()


def test_requests_are_counted_by_route_template_and_status(start: Start) -> None:
    instance = start()
    for user in ("a", "b", "c"):
        httpx.get(f"{instance.url}/users/{user}/balance")
    httpx.get(f"{instance.url}/users/a%00/balance")
    httpx.request("BREW", f"{instance.url}/pot")
    httpx.request("STEW", f"{instance.url}/pot")
    route = "/users/{user}/balance"
    total, seconds = "homeport_http_requests_total", "homeport_http_request_duration_seconds"
    labels = {"service": "balance", "method": "GET", "route": route, "status": "200"}
    assert count(instance, total, **labels) == 3
    assert count(instance, f"{seconds}_count", **labels) == 3
    assert count(instance, f"{seconds}_bucket", le="+Inf", **labels) == 3
    assert count(instance, total, route=route, status="422") == 1
    assert count(instance, total, method="OTHER", route="unmatched", status="404") == 2


def test_requests_in_flight(start: Start) -> None:
    instance = start("sample")
    connections = [instance.connect() for _ in range(3)]
    for number, connection in enumerate(connections):
        connection.send(f"/gates/{number}")
    eventually(lambda: len(list(instance.folder.glob("[0-9].reached"))) == 3, "three requests in flight")
    # the question itself is the fourth
    assert count(instance, "homeport_http_requests_in_flight", service="sample") == 4
    for number, connection in enumerate(connections):
        (instance.folder / f"{number}.held").unlink()
        assert connection.receive().status_code == 200
        connection.close()
    eventually(lambda: count(instance, "homeport_http_requests_in_flight") == 1, "none but the question in flight")


def test_a_process_has_as_many_threads_as_told(start: Start) -> None:
    few, many = start(threads=2), start(threads=7)
    tasks = [len(list(Path(f"/proc/{instance.process.pid}/task").iterdir())) for instance in (few, many)]
    assert tasks[1] - tasks[0] == 5


def test_pipelined_requests_are_answered_in_order(sample: Instance) -> None:
    connection: Connection = sample.connect()
    for path in ("/healthz", "/nowhere", "/readyz"):
        connection.send(path)
    assert [connection.receive().status_code for _ in range(3)] == [200, 404, 200]
    connection.close()


def test_a_check_that_passes_is_counted_and_not_logged(sample: Instance) -> None:
    for path, request_id in (
        ("/healthz", "quiet-1"),
        ("/readyz", "quiet-2"),
        ("/metrics", "quiet-3"),
        ("/version", "told-1"),
    ):
        assert httpx.get(f"{sample.url}{path}", headers={"X-Request-Id": request_id}).status_code == 200
    # Lines keep their order: the last one stands after what was left out.
    eventually(lambda: "told-1" in sample.log_file.read_text(), "the last one's line")
    assert "quiet-" not in sample.log_file.read_text()
    assert 'route="/healthz",service="sample",status="200"' in httpx.get(f"{sample.url}/metrics").text
