"""SIGTERM loses no request that reached us."""

import threading
import time
from pathlib import Path

import httpx
import pytest
from conftest import Start
from instance import DEADLINE, Connection, Instance, eventually


def hold(instance: Instance, gate: str) -> Connection:
    """A connection whose request is being handled until ``release``."""
    connection = instance.connect()
    connection.send(f"/gates/{gate}")
    eventually((instance.folder / f"{gate}.reached").exists, f"the request is at gate {gate}")
    return connection


def release(instance: Instance, gate: str) -> None:
    (instance.folder / f"{gate}.held").unlink()


def drain(instance: Instance) -> None:
    instance.process.terminate()
    eventually(lambda: instance.events("draining"), "the drain begins")


def test_an_idle_instance_ends_with_0(start: Start) -> None:
    instance = start()
    assert instance.stop() == 0
    assert [line["event"] for line in instance.lines()][-2:] == ["draining", "drained"]


def test_requests_in_flight_and_queued_finish(start: Start) -> None:
    instance = start("sample", threads=1)
    running = hold(instance, "one")
    queued = instance.connect()
    queued.send("/gates/two")
    drain(instance)
    release(instance, "one")
    eventually((instance.folder / "two.reached").exists, "the queued request is being handled")
    release(instance, "two")
    for connection in (running, queued):
        answer = connection.receive()
        assert answer.status_code == 200
        assert answer.headers["Connection"] == "close"
        assert connection.is_ended()
    assert instance.wait() == 0


def test_pipelined_requests_that_were_read_are_all_answered(start: Start) -> None:
    instance = start("sample")
    connection = instance.connect()
    connection.socket.sendall(b"GET /gates/one HTTP/1.1\r\n\r\n" + b"GET /healthz HTTP/1.1\r\n\r\n" * 2)
    eventually((instance.folder / "one.reached").exists, "the first is being handled")
    drain(instance)
    release(instance, "one")
    answers = [connection.receive() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.headers.get("Connection") for answer in answers] == [None, None, "close"]
    assert instance.wait() == 0


def test_while_draining_readiness_is_503_and_liveness_200(start: Start) -> None:
    instance = start("sample", drain_notice_seconds=10)
    kept = instance.connect()
    drain(instance)
    kept.send("/readyz")
    answer = kept.receive()
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["draining"]
    assert answer.headers["Connection"] == "close"
    assert httpx.get(f"{instance.url}/healthz").status_code == 200, "new connections are served during the notice"


def test_a_request_that_is_still_being_sent_is_answered(start: Start) -> None:
    instance = start("sample")
    connection = instance.connect()
    body = b'[{"sku": "a", "quantity": 1}]'
    connection.send("/lines", f"Content-Length: {len(body)}", method="POST")
    connection.socket.sendall(body[:5])
    running = hold(instance, "one")  # by now the first part has been read
    idle = instance.connect()
    drain(instance)
    release(instance, "one")
    assert running.receive().status_code == 200
    assert idle.is_ended(), "connections without a request are closed by now"
    connection.socket.sendall(body[5:])
    assert connection.receive().status_code == 201
    assert instance.wait() == 0


def test_idle_connections_do_not_hold_the_drain_up(start: Start) -> None:
    instance = start(drain_seconds=600)
    kept, silent = instance.connect(), instance.connect()
    kept.send("/healthz")
    assert "Connection" not in kept.receive().headers
    assert instance.stop() == 0
    assert kept.is_ended()
    assert silent.is_ended()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_port_is_closed_while_requests_finish(start: Start, processes: int) -> None:
    instance = start("sample", drain_notice_seconds=0, processes=processes)
    running = hold(instance, "one")
    instance.process.terminate()

    def is_refused() -> bool:
        try:
            instance.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    eventually(is_refused, "new connections are refused")
    release(instance, "one")
    assert running.receive().status_code == 200
    assert instance.wait() == 0


def test_the_deadline_cuts_what_never_ends(start: Start) -> None:
    instance = start("sample", drain_seconds=0.5)
    hold(instance, "one")
    assert instance.stop() == 0
    [line] = instance.events("drain deadline reached")
    assert line["level"] == "warning"
    assert line["requests_cut"] == 1


def test_a_second_signal_changes_nothing(start: Start) -> None:
    instance = start("sample")
    running = hold(instance, "one")
    drain(instance)
    instance.process.terminate()
    release(instance, "one")
    assert running.receive().status_code == 200
    assert instance.wait() == 0
    assert len(instance.events("draining")) == 1


class Client(threading.Thread):
    """Sends requests one after another until the port is closed, and notes each that got no answer."""

    def __init__(self, instance: Instance, *, keep_alive: bool) -> None:
        super().__init__()
        self._instance = instance
        self._headers = () if keep_alive else ("Connection: close",)
        self.answered = 0
        self.lost: list[str] = []
        self.port_closed = False

    def run(self) -> None:
        deadline = time.monotonic() + 2 * DEADLINE
        while time.monotonic() < deadline:
            try:
                connection = self._instance.connect()
            except ConnectionRefusedError:
                self.port_closed = True
                return
            except OSError as error:  # the kernel took the connection and then dropped it
                self.lost.append(f"connect: {error!r}")
                return
            self._use(connection)
            connection.close()

    def _use(self, connection: Connection) -> None:
        while True:
            try:
                connection.send("/users/alice/balance", *self._headers)
                answer = connection.receive()
            except OSError as error:
                self.lost.append(repr(error))
                return
            assert answer.status_code == 200
            self.answered += 1
            if answer.headers.get("Connection") == "close":
                return


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("keep_alive", [True, False])
def test_under_load_no_request_and_no_log_line_is_lost(start: Start, processes: int, keep_alive: bool) -> None:
    instance = start(processes=processes, threads=2)
    clients = [Client(instance, keep_alive=keep_alive) for _ in range(8)]
    for client in clients:
        client.start()
    eventually(lambda: sum(client.answered for client in clients) > 300, "traffic flows")
    assert instance.stop() == 0
    for client in clients:
        client.join(DEADLINE)
    assert [client.lost for client in clients] == [[]] * len(clients)
    assert all(client.port_closed for client in clients)
    logged = [line for line in instance.events("request") if line["route"] == "/users/{user}/balance"]
    assert len(logged) == sum(client.answered for client in clients)
    assert len({line["request_id"] for line in logged}) == len(logged)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stop_while_starting_ends_with_0(start: Start, tmp_path: Path, processes: int) -> None:
    held = tmp_path / "create.held"
    held.touch()
    instance = start("sample", wait=False, processes=processes)
    eventually((tmp_path / "create.reached").exists, "the service is being made")
    instance.process.terminate()
    held.unlink()
    assert instance.wait() == 0
    assert len(instance.events("drained")) == processes


def test_work_for_a_caller_that_hung_up_is_finished(start: Start) -> None:
    instance = start("sample", drain_notice_seconds=0)
    hold(instance, "one").close()
    drain(instance)
    release(instance, "one")
    assert instance.wait() == 0
    assert [line["status"] for line in instance.events("request") if line["route"] == "/gates/{name}"] == [200]
