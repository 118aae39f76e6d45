"""The container's health check: exit status 0 when /healthz of the service in this container answers 200.

It runs every few seconds, so it imports next to nothing, and it needs no program but Python.
"""

import os
import socket
import sys

_SECONDS = 2.0
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the service listens there


def main() -> int:
    """Ask once; an answer other than 200, or none in time, is a fault."""
    address = os.environ.get("HOMEPORT_LISTEN_ADDRESS", "")
    target = (_LOOPBACK.get(address, address), int(os.environ["HOMEPORT_PORT"]))
    try:
        with socket.create_connection(target, timeout=_SECONDS) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = connection.makefile("rb").readline().split(b" ")[1:2]
    except OSError as error:
        sys.stdout.write(f"{target[0]} port {target[1]}: {error}\n")
        return 1
    sys.stdout.write(f"/healthz: {b' '.join(status).decode()}\n")
    return 0 if status == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
