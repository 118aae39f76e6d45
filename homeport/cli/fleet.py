"""``homeport up``, ``down`` and ``status``: a whole fleet on this machine."""

from typing import Annotated

import typer

from homeport.cli.options import State, repository, state_folder
from homeport.cli.region import Driver, Port, Speed
from homeport.console import out, say
from homeport.local import rehearsal
from homeport.local import status as fleet_status
from homeport.region import access
from homeport.region.daemon import Options


def up(  # noqa: PLR0917 - Typer's options are given by name
    state: State = None,
    port: Port = access.API_PORT,
    speed: Speed = 1.0,
    driver: Driver = "process",
    variables: Annotated[
        list[str] | None,
        typer.Option("--var", metavar="NAME=VALUE", help="A variable of terraform/platform; may be given again."),
    ] = None,
    timings: Annotated[bool, typer.Option("--timings", help="Print each step's seconds as JSON at the end.")] = False,  # noqa: FBT002
) -> None:
    """Start the region, bake the image, apply the platform, and wait until it serves."""
    folder = state_folder(state)
    options = Options(api_port=port, speed=speed, repository=repository(), driver=driver)
    seconds = rehearsal.up(folder, options, variables or [])
    report = fleet_status.read(folder)
    out.print(fleet_status.render(report), markup=False)
    for name, service in report["services"].items():
        if service["url"]:
            out.print(f"{name}: {service['url']}", markup=False, style="bold")
    say("try next:")
    for line in rehearsal.next_commands(folder, report):
        say(f"  {line}")
    if timings:
        out.print_json(data=seconds)


def down(state: State = None) -> None:
    """Stop everything and remove it."""
    rehearsal.stop_region(state_folder(state))


def status(
    state: State = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,  # noqa: FBT002
) -> None:
    """Show every service's instances and the health that the load balancer sees."""
    report = fleet_status.read(state_folder(state))
    if as_json:
        out.print_json(data=report)
    else:
        out.print(fleet_status.render(report), markup=False)
