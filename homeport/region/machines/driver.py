"""What an instance is to the region, whichever driver makes it real."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class MachineSpec:
    """Everything a driver needs to start one machine; the region has chosen the address already."""

    instance_id: str
    image_id: str
    address: str
    zone: str
    region_name: str
    user_data: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    """Where the machine finds the region: the API's and its metadata service's endpoints."""


@dataclass(frozen=True)
class Machine:
    """A machine that was started: ``pid`` leads its process group and its session."""

    instance_id: str
    address: str
    pid: int
    running: bool
    exit_reason: str = ""


class Driver(Protocol):
    """Makes machines of one kind. Calls may come from several threads, at most one per instance id."""

    name: str

    def check(self, spec: MachineSpec) -> None:
        """Raise ``HomeportError`` when the machine cannot be launched (unknown image, foreign address)."""

    def launch(self, spec: MachineSpec) -> Machine:
        """Start the machine; return as soon as it runs, not when its service answers."""

    def stop(self, instance_id: str, *, grace: float) -> None:
        """Ask the machine to shut down, kill what is left after ``grace`` seconds; unknown ids are ignored.

        What a driver keeps of a stopped machine (its file system), the next ``launch`` goes on with.
        """

    def discard(self, instance_id: str) -> None:
        """Remove what a stopped machine left; unknown ids are ignored."""

    def describe(self, instance_id: str) -> Machine | None:
        """Return what is known of the machine, or None for an id that never was or was stopped."""

    def logs(self, instance_id: str, lines: int = 20) -> list[str]:
        """Return the last lines of the machine's console."""

    def create_image(self, instance_id: str, image_id: str) -> None:
        """Make an image of a machine, running or stopped, that ``launch`` then takes.

        Raises ``HomeportError`` when this driver cannot, or the machine is not there.
        """

    def import_image(self, location: str, image_id: str) -> None:
        """Let ``image_id`` name what the driver finds at ``location``; raise ``HomeportError`` when nothing is."""

    def remove_image(self, image_id: str) -> None:
        """Forget an image; machines that run from it go on, an unknown one is ignored."""

    def adopt(self) -> Sequence[Machine]:
        """Return the machines that the journal holds and that still run, and watch them from now on."""

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(instance_id)`` from a thread whenever a machine ends without having been stopped."""

    def close(self) -> None:
        """Stop watching; the machines go on."""
