"""Which loopback addresses and ports are free, and who holds those that are not."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Self

from homeport.errors import HomeportError
from homeport.system.processes import PROC, command_line

FIRST_RANGE = 64
LAST_RANGE = 255
CLAIM_PORT = 4565
"""A region listens here, on ``127.N.0.1``, as long as it runs; nobody ever connects."""

_LISTEN = 0x0A
_ENDING_SECONDS = 0.5
"""How long a listener without a process may last: its process is ending, or is another user's."""
_POLL_SECONDS = 0.01
_IPV4_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True)
class Socket:
    """One line of ``/proc/net/tcp`` and its kin (proc_net(5)); an IPv4-mapped address is given as IPv4."""

    protocol: str
    address: str
    port: int
    listening: bool
    inode: int
    """Zero for what no process holds any more, such as TIME_WAIT."""


@dataclass(frozen=True)
class Holder:
    """The process that listens on a port; ``pid`` is 0 when only its owner or root may know it."""

    address: str
    port: int
    pid: int
    command: str

    def __str__(self) -> str:
        who = f"process {self.pid} ({self.command})" if self.pid else "another user's process"
        return f"{who} listens on {self.address}:{self.port}"


class NetworkClaim:
    """A range of loopback addresses that is this process's own until it ends or closes the claim."""

    def __init__(self, network: IPv4Network, claim: socket.socket) -> None:
        self.network = network
        self._claim = claim

    def close(self) -> None:
        """Let another region have the range."""
        self._claim.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def claim_network(first: int = FIRST_RANGE, last: int = LAST_RANGE) -> NetworkClaim:
    """Take the first free ``127.N.0.0/16`` with N from ``first`` to ``last``.

    Two regions that start at once cannot both listen on ``127.N.0.1``, so at most one gets a range. A
    range in which a process still holds a socket is passed over: a killed region's machines may live
    in it. Raises ``HomeportError`` when no range is free.
    """
    taken = []
    for number in range(first, last + 1):
        network = IPv4Network(f"127.{number}.0.0/16")
        claim = _claim(str(network[1]))
        if claim is None:
            taken.append(network)
            continue
        if _in_use(network, except_inode=os.fstat(claim.fileno()).st_ino):
            claim.close()
            taken.append(network)
            continue
        return NetworkClaim(network, claim)
    holder = port_holder(str(taken[0][1]), CLAIM_PORT)
    raise HomeportError(
        f"no range from 127.{first}.0.0/16 to 127.{last}.0.0/16 is free" + (f": {holder}" if holder else ""),
        next_step="stop what listens there (ss -ltnp), or another region (homeport region down)",
    )


def sockets() -> Iterator[Socket]:
    """Yield the TCP and UDP sockets of this network namespace."""
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        try:
            lines = (PROC / "net" / protocol).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            host, port = fields[1].split(":")
            address = _address(host)
            yield Socket(protocol[:3], address, int(port, 16), int(fields[3], 16) == _LISTEN, int(fields[9]))


def port_holder(address: str, port: int) -> Holder | None:
    """Return the process whose listener keeps ``address:port``, a listener on every address included."""
    for found in sockets():
        if found.protocol == "tcp" and found.listening and found.port == port and _covers(found.address, address):
            pid = _socket_owner(found.inode)
            return Holder(found.address, port, pid, command_line(pid) if pid else "")
    return None


def ensure_free(address: str, port: int) -> None:
    """Raise ``HomeportError``, naming the holder, unless a listener can be bound to ``address:port``."""
    deadline = time.monotonic() + _ENDING_SECONDS
    while error := _refusal(address, port):
        holder = port_holder(address, port)
        if (holder and holder.pid) or time.monotonic() > deadline:
            raise HomeportError(
                f"port {port} on {address} is taken: {holder or 'a socket that is bound but does not listen'}",
                next_step="stop that process, or choose another port",
            ) from error
        time.sleep(_POLL_SECONDS)


def _refusal(address: str, port: int) -> OSError | None:
    """Return why the port is in use, nothing when it is free; any other hindrance is raised."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As HAProxy and Waitress do: connections that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except PermissionError as error:
            raise HomeportError(
                f"port {port} on {address} is reserved for root",
                next_step="choose a port above 1023, or run as root",
            ) from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise HomeportError(f"cannot listen on {address}:{port}: {error.strerror}") from error
            return error
    return None


def _claim(address: str) -> socket.socket | None:
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        claim.bind((address, CLAIM_PORT))
        claim.listen(1)
    except OSError as error:
        claim.close()
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            raise HomeportError(f"cannot listen on {address}:{CLAIM_PORT}: {error.strerror}") from error
        return None
    return claim


def _in_use(network: IPv4Network, except_inode: int) -> bool:
    return any(
        found.inode not in (0, except_inode)
        and isinstance(address := ip_address(found.address), IPv4Address)
        and address in network
        for found in sockets()
    )


def _address(text: str) -> str:
    # Each 32-bit word is printed in the machine's byte order.
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    packed = b"".join(words)
    return str(ip_address(packed.removeprefix(_IPV4_MAPPED) if len(packed) == 16 else packed))


def _covers(listener: str, address: str) -> bool:
    # A listener on :: takes IPv4 as well unless it asked not to; the kernel does not tell which.
    return listener in (address, "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _socket_owner(inode: int) -> int:
    wanted = f"socket:[{inode}]"
    for process in PROC.iterdir():
        if process.name.isdigit() and _has_link(process / "fd", wanted):
            return int(process.name)
    return 0


def _has_link(folder: Path, wanted: str) -> bool:
    try:
        return any(_link(entry) == wanted for entry in folder.iterdir())
    except OSError:
        return False


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
