"""``homeport region``: the region alone, without a fleet in it."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from homeport import providers
from homeport.cli.options import State, repository, state_folder
from homeport.console import out, say
from homeport.local import rehearsal
from homeport.local import status as fleet_status
from homeport.region import access, daemon
from homeport.region.state import StateFolder

app = typer.Typer(no_args_is_help=True)

Port = Annotated[int, typer.Option(help="The API's port on 127.0.0.1.", min=1, max=65535)]
Speed = Annotated[float, typer.Option(help="How many times as fast AWS's periods and waits run.", min=1, max=1000)]

Driver = Annotated[
    Literal["process", "container"],
    typer.Option(
        help="What an instance is: a process of this machine, or a systemd container with an address of its own "
        "(needs root and Docker).",
    ),
]


@app.command()
def up(state: State = None, port: Port = access.API_PORT, speed: Speed = 1.0, driver: Driver = "process") -> None:
    """Start the region and print how to reach it; one that runs already is left as it is."""
    options = daemon.Options(api_port=port, speed=speed, repository=repository(), driver=driver)
    folder = state_folder(state)
    run = rehearsal.start_region(folder, options)
    out.print(f"the region answers at {access.endpoint(run.api_port)}; its range is {run.network}", markup=False)
    say(f'eval "$(homeport region env{folder.option})"')


@app.command()
def down(state: State = None) -> None:
    """Stop the region with all its machines; nothing of it is left."""
    rehearsal.stop_region(state_folder(state))


@app.command()
def env(state: State = None) -> None:
    """Print the shell settings with which any AWS tool, and any Terraform root, reaches the region."""
    folder = state_folder(state)
    run = fleet_status.living(folder)
    # Nothing that is meant for one root: it would act on every root that this shell works on.
    settings = access.settings(run, access.read_keys(folder)) | providers.for_any_root(folder.terraform)
    settings |= _past_proxies() | {"HOMEPORT_STATE": str(folder.root)}
    if folder.private_key.is_file():
        settings["ANSIBLE_PRIVATE_KEY_FILE"] = str(folder.private_key)
    for name, value in settings.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(f"unset {' '.join(_misleading(settings))}")


def _past_proxies() -> dict[str, str]:
    """Return the variables that keep tools from asking a proxy of the user's for the region."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = dict.fromkeys(
        [*(name for name in given.split(",") if name), "127.0.0.1", "localhost", ".homeport.internal"]
    )
    # Tools disagree about which spelling counts.
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(names))


def _misleading(settings: Mapping[str, str]) -> list[str]:
    """Return the user's AWS settings that would win over ours or go to the region with them, and another region's."""
    usual = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
    endpoints = [name for name in os.environ if re.fullmatch(r"AWS_ENDPOINT_URL_[A-Z0-9_]+", name)]
    modes = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    stale = [providers.VARIABLE] if providers.is_ours(os.environ.get(providers.VARIABLE, "")) else []
    earlier = os.environ.get("HOMEPORT_STATE")
    if earlier and os.environ.get("ANSIBLE_PRIVATE_KEY_FILE") == str(StateFolder(Path(earlier)).private_key):
        stale.append("ANSIBLE_PRIVATE_KEY_FILE")
    return [name for name in (*usual, *modes, *endpoints, *stale) if name not in settings]


@app.command()
def logs(state: State = None, lines: Annotated[int, typer.Option(help="How many of the last lines.")] = 50) -> None:
    """Print the last lines of the region's own log."""
    typer.echo(daemon.last_lines(state_folder(state).region_log, lines))
