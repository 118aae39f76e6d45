import threading
import time
from datetime import UTC, datetime


class Clock:
    """The region's one clock: AWS's periods, waits and cooldowns run ``factor`` times as fast as real time.

    Only what AWS waits for on purpose is scaled (health check intervals, grace and deregistration
    delays, cooldowns). Time-outs and real work keep their real seconds: a five second check time-out
    shrunk to a few milliseconds would flap.
    """

    def __init__(self, factor: float = 1.0) -> None:
        if not 1.0 <= factor <= 1000.0:
            raise ValueError(f"speed factor {factor} is not between 1 and 1000")
        self.factor = factor

    def real(self, period: float) -> float:
        """Return the real seconds that an AWS ``period`` (in seconds) lasts here."""
        return period / self.factor

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps, for deadlines."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the present moment (UTC, wall clock), for what the API reports."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, period: float) -> bool:
        """Wait at most an AWS ``period`` (in seconds, scaled) for ``event``; return whether it was set."""
        return event.wait(self.real(period))
