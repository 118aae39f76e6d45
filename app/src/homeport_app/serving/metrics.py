"""Where metrics are kept: in this process, or in files that the worker processes share."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_FOLDER_PREFIX = "homeport-metrics-"


class SharedMetrics:
    """prometheus-client's multi-process mode, a set of files for each worker's place instead of each process id.

    A worker that is started anew goes on with the counts of the one before it, so that counters never fall and files
    do not pile up. Make it before the first metric. The folder is locked while it is used; what a killed process left
    behind is removed by the next.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
        self._lock = _lock(self._folder)
        self._place = "leader"
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._folder)
        values.ValueClass = values.MultiProcessValue(lambda: self._place)

    def enter(self, place: int) -> None:
        """In a worker, after the fork: count under this place."""
        self._place = str(place)

    def leave(self, place: int) -> None:
        """In the leader: the worker at this place is gone, and with it what it had in flight."""
        mark_process_dead(place, str(self._folder))

    def remove(self) -> None:
        """In the leader, at the end."""
        shutil.rmtree(self._folder, ignore_errors=True)


def registry_and_exposition(shared: SharedMetrics | None) -> tuple[CollectorRegistry, Callable[[], bytes]]:
    """The registry to declare metrics in, and what renders them in Prometheus's text format."""
    if shared is None:
        return REGISTRY, lambda: generate_latest(REGISTRY)

    def merged() -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)

    return CollectorRegistry(), merged


def _lock(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        try:
            descriptor = _lock(folder)
        except OSError:  # in use, or another user's
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)
