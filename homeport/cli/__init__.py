"""The ``homeport`` command."""

import sys

import typer

from homeport.cli import fleet, image, region
from homeport.console import show_error
from homeport.errors import HomeportError

app = typer.Typer(
    help="An EC2 fleet that you can run at home.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(region.app, name="region", help="The one-machine AWS region.")
app.add_typer(image.app, name="image", help="Images that instances start from.")
app.command("up")(fleet.up)
app.command("down")(fleet.down)
app.command("status")(fleet.status)


def main() -> None:
    """Run the command; a failure is told in words and exits with 1."""
    try:
        app()
    except HomeportError as error:
        show_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        show_error(HomeportError("interrupted", next_step="the same command again goes on; make down cleans up"))
        sys.exit(130)
