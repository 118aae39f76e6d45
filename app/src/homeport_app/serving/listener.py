"""The listening socket: made once, shared by every worker process.

One socket rather than one a process with SO_REUSEPORT: a connection waits in the one backlog whichever worker dies,
an idle worker takes the next one, and a port that is taken is an error even for the same user.
"""

import ctypes
import os
import select
import socket
import struct

BACKLOG = 1024


class ListenError(Exception):
    """The address cannot be listened on."""


def listen(address: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        ListenError: says why, and what to do.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # errors of the name look-up have numbers of their own, below zero
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ListenError(
            f"cannot listen on {address} port {port}: {reason}."
            " See who does with `ss -ltnp`, or set HOMEPORT_LISTEN_ADDRESS or HOMEPORT_PORT."
        ) from error


def refuse_new_connections(listener: socket.socket) -> None:
    """Let the kernel ignore new connections while those in the backlog can still be accepted.

    Closing a listener resets what came into its backlog since the last accept. With this filter nothing comes in any
    more: the socket drops packets that open a connection (SYN), and the caller tries again or finds it closed.
    Linux only (SO_ATTACH_FILTER); elsewhere that gap of some microseconds stays.
    """
    so_attach_filter = 26
    byte_at_13, any_bit_of, stop = 0x30, 0x45, 0x06  # BPF: load a byte, jump if bits are set, return
    tcp_flags_offset, syn, everything = 13, 0x02, 0xFFFF
    program = b"".join(
        (
            struct.pack("HBBI", byte_at_13, 0, 0, tcp_flags_offset),
            struct.pack("HBBI", any_bit_of, 0, 1, syn),
            struct.pack("HBBI", stop, 0, 0, 0),
            struct.pack("HBBI", stop, 0, 0, everything),
        )
    )
    instructions = ctypes.create_string_buffer(program)
    try:
        listener.setsockopt(socket.SOL_SOCKET, so_attach_filter, struct.pack("HP", 4, ctypes.addressof(instructions)))
    except OSError:
        return


def has_waiting_connection(listener: socket.socket) -> bool:
    """Whether an accept would give a connection at once."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))
