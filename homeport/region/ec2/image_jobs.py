"""What the driver does for images, beside the API: it may take a while, and nobody may wait with moto's lock."""

import logging
import threading
from collections.abc import Callable

from homeport.errors import HomeportError
from homeport.region.ec2.image import Image
from homeport.region.ec2.machines import Machines
from homeport.region.from_moto.ec2 import Instance

logger = logging.getLogger(__name__)


class ImageJobs:
    """Makes and removes the driver's images in the background, a thread each; images tell how it ended."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._guard = threading.Lock()
        self._at_work: set[str] = set()
        self._unwanted: set[str] = set()
        """Images that were deregistered while the driver was still at work on them."""

    def create(self, image: Image, instance: Instance, *, reboot: bool) -> None:
        """Make an image of an instance's machine, and reboot it when that is done.

        EC2 shuts a machine down first, so that its file system is whole. The driver takes what the machine
        has written at one moment, without that; the reboot is what those see who count on it.
        """

        def work() -> None:
            try:
                self._machines.create_image(instance.id, image.id)
            finally:
                if reboot and self._machines.state(instance.id) == "running":
                    self._machines.reboot(instance)

        self._make(image, work)

    def take(self, image: Image, location: str) -> None:
        """Let the image be what the driver finds at ``location``: a name that it knows, or another image's id."""
        self._make(image, lambda: self._machines.import_image(location, image.id))

    def remove(self, image_id: str) -> None:
        """Remove the driver's image; one that is not ready yet as soon as it is."""
        with self._guard:
            if image_id in self._at_work:
                self._unwanted.add(image_id)
                return
        self._start(lambda: self._remove(image_id), f"remove {image_id}")

    def _make(self, image: Image, work: Callable[[], None]) -> None:
        with self._guard:
            self._at_work.add(image.id)
        self._start(lambda: self._work(image, work), image.id)

    def _work(self, image: Image, work: Callable[[], None]) -> None:
        failure = ""
        try:
            work()
        except HomeportError as error:
            failure = error.message
        except Exception as error:
            logger.exception("%s: cannot be made", image.id)
            failure = f"{type(error).__name__}: {error}"
        if failure:
            logger.warning("%s: cannot be made: %s", image.id, failure)
        with self._guard:
            self._at_work.discard(image.id)
            unwanted = image.id in self._unwanted
            self._unwanted.discard(image.id)
        if unwanted:
            self._remove(image.id)
        else:
            image.finish(failure)

    def _remove(self, image_id: str) -> None:
        try:
            self._machines.remove_image(image_id)
        except Exception:
            logger.exception("%s: the driver's image cannot be removed", image_id)

    @staticmethod
    def _start(work: Callable[[], None], name: str) -> None:
        # Not in a pool: what is under way when the region ends is the driver's to finish, and nothing waits for it.
        threading.Thread(target=work, name=f"image-{name}", daemon=True).start()
