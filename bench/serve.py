"""One instance beside bare Bottle and a bare application on Waitress, direct and through the region's HAProxy."""

import contextlib
import importlib.util
import json
import statistics
from typing import Any

from bench.balancer import balancer
from bench.commands import ROOT, run, say
from bench.report import Table
from bench.servers import KINDS, PYTHON, ensure_environment, server
from bench.session import Session

GOAL = 0.85
"""Of bare Bottle's requests a second."""
CONNECTIONS = 8
_NAMES = {"waitress": "bare Waitress application", "bottle": "bare Bottle", "homeport": "balance service"}


def measure(session: Session) -> list[Table]:
    """Measure direct with the app's own bench, then through the balancer in rounds of its own."""
    ensure_environment()
    say(f"direct: {session.runs} rounds of three servers")
    options = ["--rounds", str(session.runs), "--seconds", str(session.seconds), "--connections", str(CONNECTIONS)]
    direct = json.loads(run([str(PYTHON), str(ROOT / "app/bench/run.py"), *options, "--json"]))
    say(f"through the balancer: {session.runs} rounds")
    through = _through(session)
    return [
        _speeds(direct, through),
        _profile(direct["layers_us"], direct["figures"]["homeport"]["cpu_us_per_request"]),
    ]


def _through(session: Session) -> dict[str, list[Any]]:
    """Return the results by kind, ``direct`` for ours without the balancer in the same rounds."""
    load = _load()
    kinds = (*KINDS, "direct")
    results: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for number in range(session.runs):
        # Each round begins with another one, so that none always has the cooler machine; each gets a fresh
        # process, as in the app's own bench: what another load left there must not count.
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            with contextlib.ExitStack() as stack:
                port = stack.enter_context(server(session, "homeport" if kind == "direct" else kind))
                if kind != "direct":
                    port = stack.enter_context(balancer(session, port))
                load.run(port, CONNECTIONS, 1)  # warm
                results[kind].append(load.run(port, CONNECTIONS, session.seconds))
    return results


def _speeds(direct: dict[str, Any], through: dict[str, list[Any]]) -> Table:
    rows = []
    for kind in KINDS:
        figures = direct["figures"][kind]
        rows.append(
            (
                _NAMES[kind],
                f"{figures['requests_per_second']:.0f}",
                f"{figures['p99_ms']:.1f}",
                f"{figures['cpu_us_per_request']:.0f}",
                f"{statistics.median(result.requests_per_second for result in through[kind]):.0f}",
                f"{statistics.median(result.p99_ms for result in through[kind]):.1f}",
            )
        )
    ratios = direct["ratios"]
    kept = _ratio(through["homeport"], through["direct"])
    note = (
        f"One process each, {direct['load']}; medians. The service makes {ratios['homeport / bottle']:.2f} of bare "
        f"Bottle's requests (goal: {GOAL}; by CPU time {ratios['homeport / bottle, by CPU time']:.2f}) and "
        f"{ratios['homeport / waitress']:.2f} of the bare application's, Bottle itself "
        f"{ratios['bottle / waitress']:.2f}; through the balancer {_ratio(through['homeport'], through['bottle']):.2f} "
        f"of Bottle's, and {kept:.2f} of its own direct figure in the same rounds."
    )
    columns = ("server", "direct, requests/s", "p99 ms", "CPU us/request", "balancer, requests/s", "p99 ms ")
    return Table("One instance", columns, tuple(rows), note)


def _profile(layers: dict[str, float], whole: float) -> Table:
    rows, before = [], 0.0
    for name, microseconds in layers.items():
        rows.append((name, f"{microseconds:.1f}", f"{microseconds - before:+.1f}"))
        before = microseconds
    note = (
        "Without network and server: the application alone, called in a loop; best of several rounds. Our own routes "
        f"replace Bottle's. Of the {whole:.0f} us of a served request Waitress and the kernel take the other "
        f"{whole - before:.0f}."
    )
    columns = ("application", "us", "to the row above")
    return Table("What lies between, microseconds a request", columns, tuple(rows), note)


def _ratio(ours: list[Any], theirs: list[Any]) -> float:
    """Return the median of the rounds' own ratios."""
    pairs = zip(ours, theirs, strict=True)
    return float(statistics.median(a.requests_per_second / b.requests_per_second for a, b in pairs))


def _load() -> Any:
    """Return the app's load generator; it needs nothing but the standard library."""
    specification = importlib.util.spec_from_file_location("app_bench_load", ROOT / "app/bench/load.py")
    if specification is None or specification.loader is None:
        raise ImportError("app/bench/load.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
