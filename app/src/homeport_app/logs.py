"""JSON lines on standard output: a buffered writer, and structlog on top of it."""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Iterator, MutableMapping
from typing import Any

import msgspec
import structlog

_FLUSH_SECONDS = 0.1
_FULL_LINES = 2000
# A pipe takes up to PIPE_BUF bytes in one piece, so lines of several worker processes never mix.
_WRITE_BYTES = select.PIPE_BUF
_STDOUT = 1

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class LineWriter:
    """Collects lines and writes them by time and by number; a stop or an event's line flushes at once.

    ``write`` takes no lock: a deque's append is atomic, and the thread that flushes is the only one to take lines out.
    When the reader is slower than we log, ``write`` flushes itself and so waits: lines are late rather than lost.
    """

    def __init__(self, descriptor: int = _STDOUT) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._announced = False
        self._wake = threading.Event()
        self._flushing = threading.Lock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Start the thread that flushes; call it after the last fork."""
        threading.Thread(target=self._flush_often, name="log-writer", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Queue one line that ends in a newline."""
        lines = self._lines
        lines.append(line)
        if not self._announced:
            self._announced = True
            self._wake.set()
        elif len(lines) > _FULL_LINES:
            self.flush()

    def flush(self) -> None:
        """Write all queued lines before returning."""
        with self._flushing:
            for piece in _pieces(self._lines):
                _write_all(self._descriptor, piece)

    def close(self) -> None:
        """Flush for the last time and end the thread: nothing may be written afterwards."""
        self._closed.set()
        self._wake.set()
        self.flush()

    def _flush_often(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._closed.wait(_FLUSH_SECONDS)  # let lines gather; an idle process sleeps above without a time-out
            self._wake.clear()
            self._announced = False  # before the flush: a line that comes later announces itself again
            self.flush()


def _pieces(lines: deque[bytes]) -> Iterator[bytes]:
    piece: list[bytes] = []
    size = 0
    while lines:
        line = lines.popleft()
        if piece and size + len(line) > _WRITE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:  # the reader is gone or the disk is full: serving goes on without a log
            return


def configure(writer: LineWriter, level: str, **fields: str) -> None:
    """Send structlog and the standard library's logging through ``writer``, with ``fields`` in every line."""

    def render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
        return _encode({"time": event.pop("time"), "level": event.pop("level"), **fields, **event}) + b"\n"

    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _EventLogger(writer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(threshold)
    # One warning for every request that waits for a thread: the in-flight gauge shows the same.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


class _EventLogger:
    """What structlog writes to: events are rare, so each is flushed at once."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: bytes) -> None:
        self._writer.write(line)
        self._writer.flush()

    debug = info = warning = error = critical = msg


class _Forward(logging.Handler):
    """Hands the standard library's records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )
