"""``make up`` from a fresh clone with empty caches, once more, and warm; the same apply on plain moto beside it."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench import plain_moto
from bench.commands import ROOT, run, say
from bench.fleet import Fleet
from bench.report import Table, seconds
from bench.session import Session, free_port
from homeport.region.state import StateFolder

PROVIDER_SLEEP = 60.0
"""Seconds that the AWS provider 5.x sleeps for each new load balancer: 30 after the create, 30 after its attributes."""
GOAL_BESIDE_SLEEP = 30.0
GOAL_BESIDE_MOTO = 5.0
_SETUP = "virtual environment (make setup)"
_CACHES = ("UV_CACHE_DIR", "PIP_CACHE_DIR", "XDG_CACHE_HOME")


@dataclass(frozen=True)
class Up:
    """One run: each step's seconds in their order, by the step's own title, and how many balancers were new."""

    steps: dict[str, float]
    new_balancers: int

    @property
    def total(self) -> float:
        return sum(self.steps.values())

    @property
    def sleep(self) -> float:
        return PROVIDER_SLEEP * min(1, self.new_balancers)  # several are made at the same time

    def beside(self, plain: dict[str, float]) -> float:
        """Return how much longer the steps took that plain moto has too."""
        shared = [value for title, value in self.steps.items() if _named(title, plain) is not None]
        return sum(shared) - sum(plain.values())


def measure(session: Session) -> list[Table]:
    """Measure; the warm fleet is left to the parts that follow."""
    clone = session.folder("clone")
    run(["git", "clone", "--quiet", str(ROOT), str(clone)])
    state, port = session.state("up"), free_port()
    environment = _empty_caches(session.folder("caches"))
    say("cold: a fresh clone, no virtual environment, empty caches")
    cold = _up(clone, state, port, environment)
    say(f"{cold.total:.1f} s; again: the fleet runs already")
    again = _up(clone, state, port, environment)
    session.stop(state)
    say(f"{again.total:.1f} s; the same apply on plain moto")
    plain = plain_moto.apply(session, clone)
    say(f"{sum(plain.values()):.1f} s; warm: after make down, environment and caches are there")
    warm = _up(clone, state, port, environment)
    say(f"{warm.total:.1f} s")
    session.adopt(Fleet(state))
    return [_table(cold, warm, again, plain)]


def _up(clone: Path, state: StateFolder, port: int, environment: dict[str, str]) -> Up:
    """Do what ``make up`` does: its two commands, timed apart."""
    began = time.monotonic()
    run(["make", "setup"], folder=clone, environment=environment)
    setup = time.monotonic()
    command = [str(clone / ".venv/bin/homeport"), "up", "--timings", "--state", str(state.root), "--port", str(port)]
    output = run(command, folder=clone, environment=environment, timeout=400)
    whole = time.monotonic() - setup
    steps: dict[str, float] = json.loads(output[output.rindex("\n{") :])
    log = (state.terraform / "apply.log").read_text(errors="replace")
    new = sum("aws_lb." in line and "Creation complete" in line for line in log.splitlines())
    rest = {"the command itself (imports, output)": whole - sum(steps.values())}
    return Up({_SETUP: setup - began, **steps, **rest}, new)


def _empty_caches(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOMEPORT_")}
    return kept | {name: str(folder / name.lower()) for name in _CACHES}


def _table(cold: Up, warm: Up, again: Up, plain: dict[str, float]) -> Table:
    rows: list[tuple[str, ...]] = []
    ups = (cold, warm, again)
    for title in cold.steps:
        # Told apart below: the row names what the step is, not how long it may take.
        name = title.partition(" (the AWS")[0]
        rows.append((name, *(seconds(up.steps.get(title)) for up in ups), seconds(_named(title, plain))))
        if "apply" in title:
            rest = [seconds(up.steps[title] - up.sleep) for up in ups]
            rows.append(("- of it beside the provider's sleep", *rest, seconds(plain["apply"] - PROVIDER_SLEEP)))
    whole = sum(plain.values())
    rows.append(("**whole**", *(seconds(up.total) for up in ups), seconds(whole)))
    rest = [seconds(up.total - up.sleep) for up in ups]
    rows.append(("**whole, beside the provider's sleep**", *rest, seconds(whole - PROVIDER_SLEEP)))
    note = (
        f"The AWS provider itself sleeps {PROVIDER_SLEEP:.0f} s for a new load balancer. Goals: cold at most "
        f"{GOAL_BESIDE_SLEEP:.0f} s beside that, here {cold.total - cold.sleep:.1f} s; the steps that "
        f"plain moto has too at most {GOAL_BESIDE_MOTO:.0f} s above its own, here {warm.beside(plain):+.1f} s (warm)."
    )
    return Table("make up, seconds", ("step", "fresh clone", "warm", "run again", "plain moto"), tuple(rows), note)


def _named(title: str, plain: dict[str, float]) -> float | None:
    """Return plain moto's seconds for a step: its words stand in the titles of ``homeport up``."""
    return next((value for word, value in plain.items() if word in title), None)
