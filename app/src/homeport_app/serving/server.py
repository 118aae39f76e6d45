"""Waitress with a graceful end.

Waitress 3.0.2 has none (Pylons/waitress #198): its loop ends at once and cancels what is queued. So its loop is run
here one step at a time, and on the way out it goes on until every connection has had its answer. This reads the
server's internals: the version is pinned.
"""

import socket
import time

import structlog
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, WSGITask

from homeport_app.contract.application import Application
from homeport_app.serving.listener import BACKLOG, has_waiting_connection, refuse_new_connections
from homeport_app.serving.state import Draining
from homeport_app.settings import Settings

_STEP_SECONDS = 1.0
_DRAIN_STEP_SECONDS = 0.05
_IDLE_SECONDS = 75  # above the 60 s after which the balancer closes an idle connection: it must be the one to close
_LINGER_SECONDS = 5.0
_QUIET_SECONDS = 0.5  # a connection this young may have its request still on the way


class Task(WSGITask):
    """A request; while draining, its answer closes the connection."""

    def build_response_header(self) -> bytes:
        """Ask for a close when draining, unless the client has sent further requests already."""
        if self.channel.server.draining.here and len(self.channel.requests) <= 1:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header


class RefusalTask(ErrorTask):
    """A request that Waitress itself refuses, answered as the contract says."""

    def execute(self) -> None:
        """Write the answer; Waitress's own is plain text without a request id."""
        error = self.request.error
        answer, request_id = self.channel.server.refuse(
            error.code,
            f"{error.reason}: {error.body}.",
            getattr(self.request, "command", "").upper(),
            self.request.headers.get("X_REQUEST_ID"),
        )
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", answer.content_type), ("X-Request-Id", request_id)]
        self.set_close_on_finish()
        self.channel.lingers = True
        self.content_length = len(answer.body)
        self.write(answer.body)


class Channel(HTTPChannel):
    """A connection. After a refusal it reads on for a while before it closes.

    Closing while the client still sends resets the connection, and the client may never see the answer (RFC 9112,
    9.6): so first the sending side is shut, and what still comes is thrown away, for some seconds at most.
    """

    task_class = Task
    error_task_class = RefusalTask
    lingers = False
    linger_until = 0.0

    @property
    def busy(self) -> bool:
        """Whether a request is being read, queued or handled, or an answer is being sent."""
        return bool(self.requests or self.request or self.total_outbufs_len or self.close_when_flushed)

    def handle_close(self) -> None:
        """Close, or begin to linger."""
        if not self.lingers:
            super().handle_close()
            return
        self.lingers = self.will_close = False
        self.linger_until = time.monotonic() + _LINGER_SECONDS
        # on this one object, so that no other connection pays for a question at every turn of the loop
        self.readable = lambda: True
        self.handle_read = self._throw_away
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()

    def _throw_away(self) -> None:
        try:
            data = self.recv(self.adj.recv_bytes)
        except OSError:
            data = b""
        if not data or time.monotonic() > self.linger_until:
            super().handle_close()


class Server:
    """Serves one listener until it has drained."""

    def __init__(
        self, application: Application, listener: socket.socket, draining: Draining, settings: Settings
    ) -> None:
        self._draining = draining
        self._settings = settings
        server = create_server(
            application,
            sockets=[listener],
            threads=settings.threads,
            backlog=BACKLOG,
            connection_limit=settings.connection_limit,
            asyncore_use_poll=True,  # select() ends at file descriptor 1024
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=5,
            max_request_body_size=settings.max_body_bytes + 1,  # Waitress refuses from this size on
            ident=None,  # no Server header: callers need not know what runs here
            clear_untrusted_proxy_headers=True,  # nobody forges X-Forwarded-*; nothing of ours reads it
            expose_tracebacks=False,
        )
        server.channel_class = Channel
        server.draining = draining
        server.refuse = application.refuse
        self._server = server
        self._deadline = 0.0
        self._listen_until = 0.0

    def begin_drain(self) -> None:
        """Start the way out; safe in a signal handler, and again."""
        if self._draining.here:
            return
        now = time.monotonic()
        self._deadline = now + self._settings.drain_seconds
        self._listen_until = now + min(self._settings.drain_notice_seconds, self._settings.drain_seconds)
        self._draining.here = True
        self._server.pull_trigger()

    def run(self) -> None:
        """Serve until ``begin_drain`` and then until all is answered, or the deadline."""
        while not self._draining.here:
            self._step(_STEP_SECONDS)
        log = structlog.get_logger()
        log.info("draining", connections=len(self._server.active_channels), seconds=self._settings.drain_seconds)
        while time.monotonic() < self._listen_until:
            self._step(_DRAIN_STEP_SECONDS)
        self._stop_listening()
        while self._is_busy() and time.monotonic() < self._deadline:
            self._step(_DRAIN_STEP_SECONDS)
        if self._is_busy():
            left = sum(channel.busy for channel in self._server.active_channels.values())
            log.warning("drain deadline reached", requests_cut=left)
        else:
            self._server.task_dispatcher.shutdown(timeout=1)
            log.info("drained")

    def _step(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._server._map, count=1)

    def _stop_listening(self) -> None:
        """Accept what waits in the backlog, then close: a request that reached us is answered."""
        server = self._server
        if self._draining.everywhere:
            refuse_new_connections(server.socket)
        while has_waiting_connection(server.socket):
            server.handle_accept()
        server.del_channel()
        server.socket.close()
        self._step(0)  # reads what the last connections have sent already

    def _is_busy(self) -> bool:
        """Close what is idle, and tell whether anything is left to wait for."""
        quiet_since = time.time() - _QUIET_SECONDS
        for channel in list(self._server.active_channels.values()):
            if not channel.busy and channel.last_activity < quiet_since:
                channel.handle_close()
        tasks = self._server.task_dispatcher  # a task may outlive its connection
        return bool(self._server.active_channels or tasks.queue or tasks.active_count)
