"""``homeport image``: bake, register, list; and the container image."""

from pathlib import Path
from typing import Annotated

import typer

from homeport.cli.options import Environment, State, repository, state_folder
from homeport.console import err, out, say
from homeport.images.container import build_container, default_cache
from homeport.local import baking, rehearsal
from homeport.local.work import at_work
from homeport.region import access

app = typer.Typer(no_args_is_help=True)


@app.command()
def build(
    state: State = None,
    environment: Environment = rehearsal.ENVIRONMENT,
    again: Annotated[  # noqa: FBT002 - Typer's way to declare a flag
        bool, typer.Option("--again", help="Bake a machine image anew, for the distribution's newer packages.")
    ] = False,
) -> None:
    """Bake an image for the running region, register it and point the environment at it."""
    folder = state_folder(state)
    run = access.running(folder)
    reach = access.settings(run, access.read_keys(folder))
    with at_work(folder):
        image_id = baking.publish(run, reach, repository(), folder, environment=environment, say=say, again=again)
    out.print(image_id, markup=False)


@app.command()
def container(
    output: Annotated[
        Path | None, typer.Option(help="Folder for the archive; default: this user's cache.", show_default=False)
    ] = None,
) -> None:
    """Build the services' container image from ``app/`` and print the path of its archive."""

    def on_step(text: str) -> None:
        # Not on standard output: that is the path alone, for scripts.
        err.print(f"  {text}", markup=False, style="dim")

    archive = build_container(repository() / "app", output or default_cache(), on_step=on_step)
    out.print(str(archive.path), markup=False)


@app.command("list")
def list_images(state: State = None) -> None:
    """List the registered images, the newest first."""
    folder = state_folder(state)
    reach = access.settings(access.running(folder), access.read_keys(folder))
    images = access.client("ec2", reach).describe_images(Owners=["self"])["Images"]
    for image in sorted(images, key=lambda found: found["CreationDate"], reverse=True):
        out.print(f"{image['ImageId']}  {image['CreationDate']}  {image['Name']}", markup=False)
