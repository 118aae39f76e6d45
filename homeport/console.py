"""What a person sees: steps with their time, and failures with the next command."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from homeport.errors import HomeportError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line of progress."""
    out.print(f"  {text}", markup=False, style="dim")


@contextmanager
def step(title: str, timings: dict[str, float] | None = None) -> Iterator[None]:
    """Announce a step, and say how long it took; ``timings`` gets its seconds under its title."""
    out.print(f"== {title}", markup=False, style="bold")
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    if timings is not None:
        timings[title] = seconds
    say(f"done in {seconds:.1f} s")


def show_error(error: HomeportError) -> None:
    """Print what failed, the last log lines, and what to do next."""
    sys.stdout.flush()
    err.print(f"error: {error.message}", markup=False, style="red")
    for line in error.log.splitlines():
        err.print(f"  | {line}", markup=False)
    if error.next_step:
        err.print(f"next: {error.next_step}", markup=False)
