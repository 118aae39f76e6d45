"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from homeport.errors import HomeportError
from homeport.region.state import StateFolder

State = Annotated[
    Path | None,
    typer.Option("--state", help="State folder; default: HOMEPORT_STATE, else the usual one.", show_default=False),
]
Environment = Annotated[str, typer.Option("--environment", help="Environment whose image pointer is meant.")]


def state_folder(named: Path | None) -> StateFolder:
    """Return the state folder that the option names, or the default one."""
    if named is None:
        try:
            return StateFolder.default()
        except RuntimeError as error:
            raise HomeportError("this user has no home folder", next_step="name a folder: --state") from error
    if named == Path():
        # An empty variable in a script means nothing good.
        raise HomeportError("--state is empty", next_step="name a folder: --state, or HOMEPORT_STATE")
    try:
        return StateFolder(named.expanduser().absolute())
    except FileNotFoundError as error:
        raise HomeportError(
            f"{named}: the folder that you are in is gone", next_step="cd to another one, or name a whole path"
        ) from error


def repository() -> Path:
    """Return the root of the repository that this package is installed from."""
    return Path(__file__).resolve().parents[2]
