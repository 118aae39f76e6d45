"""Changes a running HAProxy's servers over its stats socket; every call raises ``RuntimeRefusedError``."""

from homeport.region.haproxy.registrations import Changes
from homeport.region.haproxy.runtime import Commands
from homeport.region.haproxy.servers import Server


def change(runtime: Commands, changes: Changes) -> None:
    """Tell a running HAProxy of targets that came and went."""
    for server in changes.added:
        add(runtime, server)
    for server in changes.drained:
        take_out(runtime, server)
    for server in changes.removed:
        take_out(runtime, server)
        cut(runtime, server)


def add(runtime: Commands, server: Server) -> None:
    """Add a server that gets checks, but no requests yet; a draining one gets neither."""
    checked = f"{server.backend}/{server.name}"
    runtime.do(f"add server {checked} {server.place} {server.options}", answers="New server registered.")
    runtime.do(
        f"add server {server.open_backend}/{server.name} {server.place} {server.open_options}",
        answers="New server registered.",
    )
    if server.target.draining:
        return
    # "enable server" would send it requests at once. In drain it is checked first; "health up" lets it
    # fail as often as a working one before it counts as unhealthy, and one pass is enough.
    runtime.do(f"enable health {checked}")
    runtime.do(f"set server {checked} state drain")
    runtime.do(f"set server {checked} health up")


def put_in(runtime: Commands, server: Server) -> None:
    """Give a server its share of the requests: its first check has passed."""
    checked = f"{server.backend}/{server.name}"
    if server.slow_start:
        # HAProxy ramps the weight up only when a server comes from down.
        runtime.do(f"set server {checked} health down")
    runtime.do(f"set server {checked} state ready")
    if server.slow_start:
        runtime.do(f"set server {checked} health up")
    runtime.do(f"set server {server.open_backend}/{server.name} state ready")


def take_out(runtime: Commands, server: Server) -> None:
    """Send it no new request; those in flight go on."""
    # Not drain: that would still take the requests of clients that stick to it.
    runtime.do(f"set server {server.backend}/{server.name} state maint")
    runtime.do(f"set server {server.open_backend}/{server.name} state maint")


def cut(runtime: Commands, server: Server) -> None:
    """End what still runs on a server, as AWS does when the deregistration delay is over."""
    runtime.do(f"shutdown sessions server {server.backend}/{server.name}")
    runtime.do(f"shutdown sessions server {server.open_backend}/{server.name}")


def leave_to_checks(runtime: Commands, server: Server) -> None:
    """Let HAProxy decide about a server whose first checks failed; the group may now fail open to it."""
    runtime.do(f"set server {server.backend}/{server.name} state ready")
    runtime.do(f"set server {server.open_backend}/{server.name} state ready")


def deleted(runtime: Commands, server: Server) -> bool:
    """Try to remove a server that was taken out; return whether it is gone."""
    gone = True
    for backend in (server.backend, server.open_backend):
        answer = runtime.ask(f"del server {backend}/{server.name}")
        gone = gone and (answer.startswith("Server deleted") or "No such server" in answer)
    return gone
