"""However targets come, drain, go and come back: what HAProxy is told adds up to what is wanted."""

from collections import Counter

from balancing import GROUP
from hypothesis import given
from hypothesis import strategies as st

from homeport.region.clock import Clock
from homeport.region.haproxy.health import Phase
from homeport.region.haproxy.model import HealthCheck, LoadBalancer, Target, TargetGroup
from homeport.region.haproxy.registrations import Registrations
from homeport.region.haproxy.server_state import server_state
from homeport.region.haproxy.servers import servers

IDS = ("i-1", "i-2", "i-3")
wanted_targets = st.dictionaries(st.sampled_from(IDS), st.booleans())
verdicts = st.dictionaries(st.sampled_from(IDS), st.sampled_from(["pass", "fail", "gone"]))


def rendered(wanted):
    targets = tuple(Target(name, "127.0.0.1", 80, "a", draining) for name, draining in wanted.items())
    group = TargetGroup(GROUP, "g", "HTTP", 80, HealthCheck(), targets)
    return servers(LoadBalancer("", "", "127.0.0.1", (), (group,)), Clock())


def line(server, status, check):
    return {"pxname": server.backend, "svname": server.name, "status": status, "check_status": check, "check_code": ""}


class Proxy:
    """What a HAProxy would hold after the changes it was told of."""

    def __init__(self):
        self.phases = {}

    def told(self, changes, wanted, known):
        if changes.returned:  # a new process: it knows what stands in its files
            begins = {Phase.NEW: "checked", Phase.SERVING: "in", Phase.DRAINING: "out"}
            self.phases = {server.key: begins[known.phase(server)] for server in wanted}
            known.forget_removed()
            return
        for server in changes.added:
            assert server.key not in self.phases
            self.phases[server.key] = "out" if server.target.draining else "checked"
        for server in changes.drained + changes.removed:
            assert server.key in self.phases
            self.phases[server.key] = "out"


@given(steps=st.lists(st.tuples(wanted_targets, verdicts), max_size=8))
def test_no_target_gets_requests_unless_it_is_wanted_and_has_passed(steps):
    known, proxy = Registrations(), Proxy()
    for wanted, results in steps:
        now = rendered(wanted)
        changes = known.bring_in_line(now)
        proxy.told(changes, now, known)
        for server in now:
            if results.get(server.target.target_id) in ("pass", "fail"):
                up = results[server.target.target_id] == "pass"
                known.read([line(server, "DRAIN" if up else "DOWN", "L7OK" if up else "L7STS")])
        for one in [*known.passed_first(), *known.failed_first()]:
            assert proxy.phases[one.server.key] == "checked"
            proxy.phases[one.server.key], one.phase = "in", Phase.SERVING
        for one in known.removed():
            if results.get(one.server.target.target_id) == "gone":
                known.forget(one)
                del proxy.phases[one.server.key]
        taking = {key for key, phase in proxy.phases.items() if phase == "in"}
        assert taking <= {server.key for server in now if not server.target.draining}
        health = known.health().get(GROUP, {})
        assert {key[0] for key in health} == set(wanted)
        assert all((health[name, 80].state == "draining") == draining for name, draining in wanted.items())
        assert server_state(tuple(now), known).count("\n") == 2 + 2 * len(now)


def test_a_failed_change_leaves_no_trace():
    known = Registrations()
    known.bring_in_line(rendered({"i-1": False}))
    before = known.copy()
    known.bring_in_line(rendered({"i-1": True, "i-2": False}))
    assert {key[0] for key in before.health()[GROUP]} == {"i-1"}
    assert before.health()[GROUP]["i-1", 80].state == "initial"


def test_a_process_that_cannot_be_asked_counts_as_busy():
    known = Registrations()
    (server,) = rendered({"i-1": True})
    known.bring_in_line([server])
    known.set_in_flight(Counter({server.key: 2}), unknown=1)
    assert known.in_flight(GROUP, "i-1", 80) == 3
    assert known.in_flight(GROUP, "i-2", 80) == 0
