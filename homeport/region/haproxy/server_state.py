"""The file from which a starting HAProxy learns what is known of its servers (management manual, show servers state).

Without it every server would begin as working, and get requests before its first check.
"""

from homeport.region.haproxy.health import Phase, is_up
from homeport.region.haproxy.registrations import Registrations
from homeport.region.haproxy.servers import WEIGHT, Server

_HEADER = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port "
    "srv_check_addr srv_agent_addr srv_agent_port\n"
)
_STOPPED, _RUNNING = 0, 2
_READY, _MAINTENANCE, _DRAIN = 0, 1, 8


def server_state(servers: tuple[Server, ...], known: Registrations) -> str:
    """Return the file's text from what was last seen of each server."""
    lines = []
    for server in servers:
        now, seen = known.phase(server), known.row(server)
        down = now is Phase.SERVING and seen is not None and not is_up(seen)
        checked = _DRAIN if now is Phase.NEW else _READY if now is Phase.SERVING else _MAINTENANCE
        unchecked = _READY if now is Phase.SERVING else _MAINTENANCE
        operational = _STOPPED if down or checked == _MAINTENANCE else _RUNNING
        lines.append(_line(server, server.backend, operational, checked, check_state=6))
        operational = _STOPPED if unchecked == _MAINTENANCE else _RUNNING
        lines.append(_line(server, server.open_backend, operational, unchecked, check_state=0))
    return _HEADER + "".join(lines)


def _line(server: Server, backend: str, operational: int, admin: int, check_state: int) -> str:
    # The last check's result is left unknown (1 0): a new target must pass one that it is given now.
    target = server.target
    return (
        f"0 {backend} 0 {server.name} {target.address} {operational} {admin} {WEIGHT} {WEIGHT} 0 "
        f"1 0 0 {check_state} 0 0 0 - {target.port} - 0 0 - - 0\n"
    )
