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

    def now(self) -> datetime:
        """Return the present moment (UTC, wall clock), for what the API reports."""
        return datetime.now(UTC)
