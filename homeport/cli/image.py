"""``homeport image``: bake, register, list."""

import typer

from homeport.cli.options import Environment, State, repository, state_folder
from homeport.console import out
from homeport.local import rehearsal
from homeport.region import access

app = typer.Typer(no_args_is_help=True)


@app.command()
def build(state: State = None, environment: Environment = rehearsal.ENVIRONMENT) -> None:
    """Bake an image from ``app/``, register it and point the environment at it."""
    folder = state_folder(state)
    reach = access.settings(access.running(folder), access.read_keys(folder))
    image_id = rehearsal.publish_image(folder, reach, repository() / "app", environment)
    out.print(image_id, markup=False)


@app.command("list")
def list_images(state: State = None) -> None:
    """List the registered images, the newest first."""
    folder = state_folder(state)
    reach = access.settings(access.running(folder), access.read_keys(folder))
    images = access.client("ec2", reach).describe_images(Owners=["self"])["Images"]
    for image in sorted(images, key=lambda found: found["CreationDate"], reverse=True):
        out.print(f"{image['ImageId']}  {image['CreationDate']}  {image['Name']}", markup=False)
