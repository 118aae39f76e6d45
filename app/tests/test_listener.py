import errno
import socket

import pytest
from conftest import Start
from instance import eventually

from homeport_app.serving.listener import ListenError, has_waiting_connection, listen, refuse_new_connections


def test_after_the_filter_the_backlog_is_served_and_nothing_new_comes_in() -> None:
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as early, socket.socket() as late:
            refuse_new_connections(listener)
            late.setblocking(False)
            # an open port on loopback is connected to before connect returns
            assert late.connect_ex(address) == errno.EINPROGRESS
            assert has_waiting_connection(listener)
            accepted, _ = listener.accept()
            assert not has_waiting_connection(listener)
            with accepted:
                early.sendall(b"x")
                assert accepted.recv(1) == b"x"


def test_a_taken_port_says_so() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ListenError, match="Address already in use"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_ipv6() -> None:
    with listen("::1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        assert has_waiting_connection(listener)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_command_fails_with_one_line_when_the_port_is_taken(start: Start, processes: int) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        instance = start(wait=False, port=port, processes=processes)
        assert instance.wait() == 1
    [line] = instance.log_file.read_text().splitlines()
    assert line.startswith(f"homeport_app: cannot listen on 127.0.0.1 port {port}: Address already in use.")


def test_an_address_of_another_machine_is_an_error_too(start: Start) -> None:
    instance = start(wait=False, listen_address="192.0.2.1")
    assert instance.wait() == 1
    assert "cannot listen on 192.0.2.1" in instance.log_file.read_text()


def test_the_port_can_be_taken_again_at_once(start: Start) -> None:
    first = start()
    connection = first.connect()
    connection.send("/healthz", "Connection: close")
    connection.receive()
    assert first.stop() == 0
    second = start(wait=False, port=first.port)
    eventually(lambda: second.events("listening"), "the port is listened on again")
