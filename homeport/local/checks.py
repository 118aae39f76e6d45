"""What can be known to go wrong before anything is made: programs, ports, the catalogue."""

import importlib.util
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from homeport.catalogue import load_catalogue
from homeport.errors import HomeportError
from homeport.system.addresses import ensure_free
from homeport.system.programs import find_program
from homeport.terraform import check_version, find_terraform

ANY_LOOPBACK = f"127.255.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""Nobody's address. What keeps a port of it holds that port on every address, a region's range among them.

Each process has its own: two that look at the same moment must not find one another.
"""


def check_programs(driver: str) -> None:
    """Raise ``HomeportError`` unless Terraform and HAProxy are there and new enough, and what the driver needs."""
    check_version(find_terraform())
    if find_program("haproxy") is None:
        raise HomeportError("haproxy is not installed", next_step="apt-get install haproxy (2.6 or newer)")
    if driver == "container":
        # Imported late: the other driver does without Docker's client.
        from homeport.region.machines.container.engine import check_host  # noqa: PLC0415

        check_host()
        missing = [program for program in ("packer", "mmdebstrap") if shutil.which(program) is None]
        if importlib.util.find_spec("ansible") is None:
            missing.append("ansible")
        if missing:
            raise HomeportError(
                f"a machine image cannot be baked: {', '.join(missing)} not installed", next_step="make setup-image"
            )


def check_platform(repository: Path, tfvars: Path, variables: Sequence[str]) -> None:
    """Raise ``HomeportError`` for a faulty catalogue or variable, or when the load balancer's port is taken."""
    load_catalogue(repository / "app" / "services.yaml")
    for variable in variables:
        if not re.match(r"[A-Za-z_]\w*=", variable):
            raise HomeportError(
                f"--var {variable}: a name and a value are needed", next_step="homeport up --var listener_port=8081"
            )
    given = [variable.partition("=")[2] for variable in variables if variable.startswith("listener_port=")]
    written = re.findall(r"^listener_port\s*=\s*(\S+)", tfvars.read_text(encoding="utf-8"), re.MULTILINE)
    _check_listener_port((given or written or ["80"])[-1])


def _check_listener_port(text: str) -> None:
    choose = "choose another port: homeport up --var listener_port=8081"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise HomeportError(f"listener_port={text}: a port is a number from 1 to 65535", next_step=choose)
    try:
        ensure_free(ANY_LOOPBACK, int(text))
    except HomeportError as error:
        raise HomeportError(
            f"the load balancer cannot have its port {text}: {error.message}",
            next_step=f"stop what is named, or {choose}",
        ) from error


def check_region_ports(api_port: int) -> None:
    """Raise ``HomeportError``, naming the holder, unless the API's and the metadata services' ports are free."""
    # Imported late: most commands need no web server.
    from homeport.region.metadata.server import PORT as METADATA_PORT  # noqa: PLC0415

    ensure_free("127.0.0.1", api_port)
    try:
        ensure_free(ANY_LOOPBACK, METADATA_PORT)
    except HomeportError as error:
        raise HomeportError(
            f"instances cannot have a metadata service: {error.message}",
            next_step=f"stop what is named: every instance needs port {METADATA_PORT} on its own address",
        ) from error
