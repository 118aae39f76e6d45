import json
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from instance import eventually

from homeport_app import logs
from homeport_app.logs import LineWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def read(descriptor: int) -> bytes:
    received = b""
    while select.select([descriptor], [], [], 0)[0]:
        data = os.read(descriptor, 65536)
        if not data:
            break
        received += data
    return received


def test_a_line_is_written_soon_without_a_flush(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.start()
    for line in (b"one\n", b"two\n"):  # the second wakes the writer anew
        writer.write(line)
        assert eventually(lambda: read(pipe[0]), "the line comes") == line
    writer.close()


def test_close_writes_what_is_left(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.start()
    writer.write(b"last\n")
    writer.close()
    assert read(pipe[0]) == b"last\n"


@given(st.lists(st.binary(max_size=6000).map(lambda data: data + b"\n"), max_size=20))
def test_pieces_hold_whole_lines_in_order_and_fit_into_a_pipe(lines: list[bytes]) -> None:
    pieces = list(logs._pieces(deque(lines)))
    assert b"".join(pieces) == b"".join(lines)
    assert all(len(piece) <= select.PIPE_BUF or piece in lines for piece in pieces)
    assert all(piece.endswith(b"\n") for piece in pieces)


def test_no_line_of_many_threads_is_lost_behind_a_slow_reader(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.start()
    threads, each = 4, 3000  # far more than the pipe and the queue hold
    received: list[bytes] = []

    def collect() -> None:
        while sum(data.count(b"\n") for data in received) < threads * each:
            received.append(os.read(pipe[0], 512))

    def write(number: int) -> None:
        for line in range(each):
            writer.write(b"%d-%d-" % (number, line) + b"x" * 50 + b"\n")

    running = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    running.append(threading.Thread(target=collect))
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(30)
    lines = b"".join(received).splitlines()
    assert len(lines) == len(set(lines)) == threads * each
    writer.close()


def test_a_reader_that_went_away_does_not_stop_the_service() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = LineWriter(descriptor)
    writer.write(b"nobody reads this\n")
    writer.flush()
    os.close(descriptor)


def test_events_and_the_standard_librarys_records_are_json_lines(pipe: tuple[int, int]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure(LineWriter(pipe[1]), "info", service="balance")
        structlog.get_logger().info("started", port=1, odd={1, 2}.__class__)
        structlog.get_logger().debug("not this")
        logging.getLogger("library").warning("took %d s", 3)
        logging.getLogger("library").error("failed", exc_info=ValueError("broken"))
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()
    started, took, failed = [json.loads(line) for line in read(pipe[0]).splitlines()]
    assert started["time"].endswith("Z")
    assert (started["event"], started["level"], started["service"], started["port"]) == (
        "started",
        "info",
        "balance",
        1,
    )
    assert started["odd"] == "<class 'set'>"
    assert (took["event"], took["level"], took["logger"]) == ("took 3 s", "warning", "library")
    assert (failed["event"], failed["level"]) == ("failed", "error")
    assert "ValueError: broken" in failed["exception"]
