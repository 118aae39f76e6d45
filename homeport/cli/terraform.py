"""``homeport terraform``: Terraform by hand, on the platform's root and a region of this machine."""

import typer

from homeport.cli.options import State, state_folder
from homeport.local import rehearsal, status
from homeport.region import access


def terraform(context: typer.Context, state: State = None) -> None:
    """Run terraform on the platform's root and the running region, as in: homeport terraform plan.

    Terraform gets every other word as you type it, and works in terraform/platform: file names are relative to that.
    What it is told beside them ends with it, so your shell and roots of your own see none of it.
    """
    if context.args[:1] == ["--help"]:
        typer.echo(context.get_help())
        return
    folder = state_folder(state)
    run = status.living(folder)
    rehearsal.platform(folder, run, access.read_keys(folder)).become(context.args)
