"""The start command, with the tests' services beside the real ones."""

import sys
from pathlib import Path

from homeport_app import services

services.__path__.append(str(Path(__file__).with_name("samples")))

from homeport_app.__main__ import main  # noqa: E402 - the folder must be known first

sys.exit(main(sys.argv[1:]))
