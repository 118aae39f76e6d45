"""``homeport region``: the region alone, without a fleet in it."""

import shlex
from typing import Annotated

import typer

from homeport.cli.options import State, repository, state_folder
from homeport.console import out, say
from homeport.local import rehearsal
from homeport.region import access, daemon

app = typer.Typer(no_args_is_help=True)

Port = Annotated[int, typer.Option(help="The API's port on 127.0.0.1.")]
Speed = Annotated[float, typer.Option(help="How many times as fast AWS's periods and waits run.", min=1, max=1000)]


@app.command()
def up(state: State = None, port: Port = access.API_PORT, speed: Speed = 1.0) -> None:
    """Start the region and print how to reach it; one that runs already is left as it is."""
    run = rehearsal.start_region(state_folder(state), port, speed, repository())
    out.print(f"the region answers at {access.endpoint(run.api_port)}; its range is {run.network}", markup=False)
    say('eval "$(homeport region env)"')


@app.command()
def down(state: State = None) -> None:
    """Stop the region with all its machines; nothing of it is left."""
    rehearsal.stop_region(state_folder(state))


@app.command()
def env(state: State = None) -> None:
    """Print the shell settings with which any AWS tool reaches the region."""
    folder = state_folder(state)
    run, keys = access.running(folder), access.read_keys(folder)
    platform = rehearsal.platform(folder, run, keys)
    for name, value in (access.settings(run, keys) | platform.variables()).items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo("unset AWS_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN")


@app.command()
def logs(state: State = None, lines: Annotated[int, typer.Option(help="How many of the last lines.")] = 50) -> None:
    """Print the last lines of the region's own log."""
    typer.echo(daemon.last_lines(state_folder(state).region_log, lines))
