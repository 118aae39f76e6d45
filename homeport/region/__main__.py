"""The region's process: ``python -m homeport.region STATE REPORT-FD API-PORT SPEED REPOSITORY DRIVER``.

``homeport region up`` starts it; the first line on the descriptor tells whether it answers.
"""

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from homeport.errors import HomeportError
from homeport.region.daemon import Options
from homeport.region.state import StateFolder


def main(arguments: list[str]) -> int:
    """Run the region until SIGTERM; machines and balancers are left to whoever sweeps."""
    state = StateFolder(Path(arguments[0]))
    report = os.fdopen(int(arguments[1]), "w")
    # Machines must not hold the other end open: nobody would see this process end.
    os.set_inheritable(report.fileno(), False)  # noqa: FBT003  the call takes no keyword
    options = Options(
        api_port=int(arguments[2]), speed=float(arguments[3]), repository=Path(arguments[4]), driver=arguments[5]
    )
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # Imported late: a state folder that is held is refused without waiting for moto.
        with state.hold():
            from homeport.region.main import Region  # noqa: PLC0415

            region = Region(state, options)
            region.start()
            report.write(json.dumps({"ok": True}) + "\n")
            report.close()
            stop.wait()
            region.close()
    except HomeportError as error:
        said = {"error": error.message, "next_step": error.next_step, "log": error.log}
        if not report.closed:
            report.write(json.dumps(said) + "\n")
        logging.exception("%s", error.message)  # noqa: LOG015  the process's own last word
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
