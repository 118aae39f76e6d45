"""The leader: starts worker processes on one listener, replaces those that die, and ends them together."""

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable

import structlog

from homeport_app.serving.metrics import SharedMetrics
from homeport_app.serving.state import Draining

STOP_SIGNALS = frozenset((signal.SIGTERM, signal.SIGINT))
_SIGNALS = STOP_SIGNALS | {signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1
_RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)  # waits before a place's next worker, by its failures in a row
_STABLE_SECONDS = 10.0  # a worker that lived this long starts the row anew
_END_SECONDS = 5.0  # beyond the workers' own drain deadline, before they are killed

Work = Callable[[int], None]


class Leader:
    """Supervises one worker for each place, 0 to ``count`` - 1; ``work`` runs with the stop signals blocked.

    It must have no other thread: workers are forked from it, and a worker's death signal is bound to the thread that
    forked it.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        *,
        listener: socket.socket,
        draining: Draining,
        shared: SharedMetrics,
        drain_seconds: float,
    ) -> None:
        self._work = work
        self._listener = listener
        self._draining = draining
        self._shared = shared
        self._drain_seconds = drain_seconds
        self._places = {place: _Place() for place in range(count)}

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then until every worker has drained."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while not self._draining.here:
            now = time.monotonic()
            for number, place in self._places.items():
                if place.process is None and now >= place.start_at:
                    place.started_at = now
                    place.process = self._start(number)
            waits = [place.start_at - now for place in self._places.values() if place.process is None]
            self._wait_for_signal(min(waits, default=60.0))
        self._end()

    def _start(self, place: int) -> int:
        leader = os.getpid()
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            die_with_parent(leader)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            self._shared.enter(place)
            self._work(place)
            status = 0
        except BaseException:  # noqa: BLE001 - the line is the worker's last; it must not go on as a second leader
            structlog.get_logger().error("worker failed", place=place, exc_info=True)
        finally:
            os._exit(status)

    def _wait_for_signal(self, seconds: float) -> None:
        received = signal.sigtimedwait(_SIGNALS, max(seconds, 0.0))
        if received is None:
            return
        if received.si_signo in STOP_SIGNALS:
            self._draining.here = True
        self._collect()

    def _collect(self) -> None:
        """Note which workers have ended, and when their places may have another."""
        for number, place in self._places.items():
            if place.process is None:
                continue
            ended, status = os.waitpid(place.process, os.WNOHANG)
            if not ended:
                continue
            self._shared.leave(number)
            now = time.monotonic()
            if not self._draining.here:
                place.failures = 1 if now - place.started_at > _STABLE_SECONDS else place.failures + 1
                wait = _RESTART_SECONDS[min(place.failures, len(_RESTART_SECONDS)) - 1]
                place.start_at = now + wait
                structlog.get_logger().error(
                    "worker died", place=number, pid=ended, exit_code=os.waitstatus_to_exitcode(status), restart_in=wait
                )
            place.process = None

    def _end(self) -> None:
        self._draining.announce_everywhere()
        self._signal_all(signal.SIGTERM)
        self._listener.close()  # the workers hold it too: when the last of them stops listening, the port is closed
        deadline = time.monotonic() + self._drain_seconds + _END_SECONDS
        while self._running() and time.monotonic() < deadline:
            self._wait_for_signal(deadline - time.monotonic())
        if self._running():
            structlog.get_logger().error("workers killed: they did not end by themselves", pids=self._running())
            self._signal_all(signal.SIGKILL)
            while self._running():
                self._wait_for_signal(1.0)

    def _running(self) -> list[int]:
        return [place.process for place in self._places.values() if place.process is not None]

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._running():
            os.kill(process, number)


class _Place:
    """One worker's place: who is there, and how it went so far."""

    def __init__(self) -> None:
        self.process: int | None = None
        self.started_at = 0.0
        self.start_at = 0.0
        self.failures = 0


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent``, which has just forked it, dies. Linux only.

    The parent may have died before the request was in force, so it is looked at once more.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
