"""Whether this process, and the whole instance, is on its way out."""

import mmap


class Draining:
    """Two flags: this process is draining; every process of the instance is.

    The second lies in memory that worker processes share, so make it before they are forked.
    """

    def __init__(self) -> None:
        self.here = False
        self._shared = mmap.mmap(-1, 1)

    @property
    def everywhere(self) -> bool:
        """Whether the instance as a whole is draining, not this process alone."""
        return self._shared[0] == 1

    def announce_everywhere(self) -> None:
        """Tell all processes that the instance drains."""
        self._shared[0] = 1
