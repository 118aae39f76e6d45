"""The ``homeport`` command."""

import signal
import sys

import typer
from botocore.exceptions import BotoCoreError, ClientError

from homeport.cli import fleet, image, region
from homeport.cli.terraform import terraform
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
app.command(
    "terraform",
    # Its options are Terraform's, --help behind a command too.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    options_metavar="[--state FOLDER] COMMAND ...",
)(terraform)


class Interrupted(BaseException):
    """Ctrl-C, a closed terminal, or SIGTERM: steps end what they started."""


def main() -> None:
    """Run the command; a failure is told in words and exits with 1."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup and shells' background jobs ignore some on purpose.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        app()
    except HomeportError as error:
        show_error(error)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        show_error(HomeportError(f"{where}{error.strerror or error}", next_step="mend that, then run it again"))
        sys.exit(1)
    except (BotoCoreError, ClientError) as error:
        show_error(HomeportError(f"the region answered: {error}", next_step="homeport status; homeport region logs"))
        sys.exit(1)
    except Interrupted as interrupted:
        show_error(HomeportError("interrupted", next_step="the same command again goes on; make down cleans up"))
        sys.exit(128 + int(interrupted.args[0]))


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)
