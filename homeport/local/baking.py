"""The image that the environment's machines start from: what it is depends on the region's driver."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from homeport.errors import HomeportError
from homeport.images.build import build_image
from homeport.images.container import build_container, default_cache
from homeport.images.machine import bake
from homeport.images.register import register_image
from homeport.region import access
from homeport.region.state import Run, StateFolder

Say = Callable[[str], None]


def prepare(driver: str, repository: Path, state: StateFolder, say: Say) -> None:
    """Make what of the image needs no region; ``publish`` finds it. What takes a moment only is not told."""
    if driver == "process":
        build_image(repository / "app", state)
    else:
        build_container(repository / "app", default_cache(), on_step=say)


def publish(
    run: Run,
    reach: dict[str, str],
    repository: Path,
    state: StateFolder,
    *,
    environment: str,
    say: Say,
    again: bool = False,
) -> str:
    """Bake or find the image, let ``environment`` point to it, and return its id.

    ``reach`` are the settings that lead to the region (``homeport.region.access``). ``again`` bakes a machine image
    that is there already anew; what is no machine has no packages that could be newer. Raises ``HomeportError``.
    """
    if run.driver == "container":
        return bake(repository, default_cache(), reach, run.region_id, environment, again=again, on_step=say)
    if run.driver != "process":
        raise HomeportError(f"nothing is known of images for the driver {run.driver}", next_step="make down, then up")
    folder = build_image(repository / "app", state, on_step=say)
    return register_image(_client("ec2", reach), _client("ssm", reach), folder, environment)


def _client(service: str, reach: dict[str, str]) -> Any:
    return access.client(service, reach)
