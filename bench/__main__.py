"""``python -m bench [PART ...]``: measure, print, and with ``--write`` put the figures into the README.

Nothing here is a test: no figure is judged. Everything runs on this machine and ends by itself; what was started is
stopped and removed again, also after Ctrl-C.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator

from bench import api, heal, machine, machines, memory, readme, serve, up
from bench.commands import CommandError, say
from bench.report import Table
from bench.session import Session
from homeport.errors import HomeportError

# In this order: the fleet that `up` leaves is the one that the next two look at.
PARTS: dict[str, tuple[str, Callable[[Session], list[Table]]]] = {
    "up": ("make up from a fresh clone, again and warm, beside the same apply on plain moto", up.measure),
    "memory": ("resident memory of instances, region and HAProxy", memory.measure),
    "heal": ("kill -9 of instances and of HAProxy under 200 requests a second", heal.measure),
    "serve": ("requests a second and p99 of one instance beside its peers, and the profile between", serve.measure),
    "api": ("calls a second of the region's API beside plain moto's", api.measure),
}
# What boots needs root, Docker and Packer, which the others do without: asked for by name, figures of its own.
BOOTED: dict[str, tuple[str, Callable[[Session], list[Table]]]] = {
    "machines": ("images, a bake, boot to the first 200, and Lynis, on the container driver", machines.measure),
}
NEEDED = {
    "git": "apt-get install git",
    "make": "apt-get install make",
    "haproxy": "apt-get install haproxy",
    "terraform": "https://developer.hashicorp.com/terraform/install",
}
BUSY = 0.5
"""Load average above which other work visibly slows two cores."""


def main() -> int:
    options = _options()
    missing = [tool for tool in NEEDED if shutil.which(tool, path=machine.path()) is None]
    for tool in missing:
        say(f"{tool} is not on PATH: {NEEDED[tool]}")
    if missing:
        return 1
    if shutil.which("wrk") is None:
        say("wrk is not on PATH (apt-get install wrk): Python threads make the load instead, and cost more themselves")
    if machine.load_average() > BUSY:
        say(f"this machine is busy (load average {machine.load_average():.1f}): the figures will be worse than it can")
    began = time.monotonic()
    conditions = machine.describe()
    tables: list[Table] = []
    failed = []
    with _interruptible(), Session(runs=options.runs, seconds=options.seconds) as session:
        for name in options.parts or PARTS:
            what, measure = (PARTS | BOOTED)[name]
            say(f"== {name}: {what}")
            try:
                found = measure(session)
            except (CommandError, HomeportError) as error:
                failed.append(name)
                say(f"{name} could not be measured: {error}")
                continue
            tables += found
            print("\n" + "\n\n".join(table.markdown() for table in found) + "\n", flush=True)
        say("== clean up")
    say(f"measured in {time.monotonic() - began:.0f} s on {conditions}")
    if failed:
        say(f"not measured: {', '.join(failed)}" + ("; the README is left as it was" if options.write else ""))
        return 1
    if options.write:
        say(f"written to {readme.write(conditions, tables, 'machines' if options.parts else 'figures')}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    described = "; ".join(f"{name}: {what}" for name, (what, _) in (PARTS | BOOTED).items())
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{described}. Default: all but the last")
    parser.add_argument("--runs", type=int, default=3, help="how often each thing is tried (up: once)")
    parser.add_argument("--seconds", type=float, default=3, help="how long one load runs")
    parser.add_argument(
        "--write", action="store_true", help="put the tables into README.md; of all parts or of machines"
    )
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS | BOOTED]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS | BOOTED)}")
    if options.runs < 1 or options.seconds < 1:
        parser.error("--runs and --seconds are at least 1")
    if options.write and options.parts not in ([], list(BOOTED)):
        parser.error("--write takes no parts, or machines alone: the README's figures come from one run each")
    return options


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Clean up on SIGTERM and SIGHUP as on Ctrl-C; while that goes on, a second one is ignored."""

    def interrupt(*_: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        say("interrupted: cleaning up")
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
