"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from homeport.region.state import StateFolder

State = Annotated[
    Path | None,
    typer.Option("--state", help="State folder; default: HOMEPORT_STATE, else the usual one.", show_default=False),
]
Environment = Annotated[str, typer.Option("--environment", help="Environment whose image pointer is meant.")]


def state_folder(named: Path | None) -> StateFolder:
    """Return the state folder that the option names, or the default one."""
    return StateFolder(named.absolute()) if named else StateFolder.default()


def repository() -> Path:
    """Return the root of the repository that this package is installed from."""
    return Path(__file__).resolve().parents[2]
