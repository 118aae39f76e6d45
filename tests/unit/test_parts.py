"""Whatever is faulty of a load balancer, what is sound of it is done, and the rest stays as it was."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.region.haproxy import parts
from homeport.region.haproxy.model import FixedResponse, Forward, HealthCheck, Listener, LoadBalancer, Rule, TargetGroup

NAMES = st.sampled_from("abc")


def rules(action):
    return (Rule("default", 99999, (), action),)


actions = st.builds(FixedResponse, st.sampled_from([200, 404])) | st.builds(lambda name: Forward(((name, 1),)), NAMES)
listeners = st.builds(
    lambda name, port, protocol, action: Listener(name, port, protocol, rules(action)),
    NAMES, st.integers(80, 84), st.sampled_from(["HTTP", "faulty"]), actions,
)  # fmt: skip
groups = st.builds(
    lambda name, matcher: TargetGroup(name, name, "HTTP", 80, HealthCheck(matcher=matcher)),
    NAMES, st.sampled_from(["200", "faulty"]),
)  # fmt: skip
balancers = st.builds(
    lambda some, more: LoadBalancer("arn", "main", "127.1.1.1", tuple(some), tuple(more)),
    st.lists(listeners, unique_by=(lambda one: one.arn, lambda one: one.port)),
    st.lists(groups, unique_by=lambda one: one.arn),
)


def works(one):
    return "faulty" not in (
        getattr(one, "protocol", ""),
        one.health_check.matcher if hasattr(one, "health_check") else "",
    )


def fault(balancer):
    broken = [one for one in (*balancer.listeners, *balancer.target_groups) if not works(one)]
    return HomeportError("broken") if broken else None


def running(balancer):
    """What may have run before: only what works."""
    return replace(
        balancer,
        listeners=tuple(one for one in balancer.listeners if works(one)),
        target_groups=tuple(one for one in balancer.target_groups if works(one)),
    )


@given(balancers, st.none() | balancers.map(running))
def test_the_sound_rest(wanted, before):
    found, faults = parts.sound(wanted, before, fault)
    assert fault(found) is None
    broken = [one for one in (*wanted.listeners, *wanted.target_groups) if not works(one)]
    assert len(faults) == len(broken)
    for one in (*wanted.listeners, *wanted.target_groups):
        if works(one):
            assert one in (*found.listeners, *found.target_groups)
    # The rest stays as it was, unless its port is another listener's now.
    taken = {one.port for one in wanted.listeners if works(one)}
    kept = {one.arn: one for one in before.listeners} if before else {}
    for one in wanted.listeners:
        if not works(one) and one.arn in kept and kept[one.arn].port not in taken:
            assert kept[one.arn] in found.listeners
    ports = [one.port for one in found.listeners]
    assert len(ports) == len(set(ports))
    arns = [one.arn for one in found.target_groups]
    assert len(arns) == len(set(arns))
    # Nothing that nobody asks for any more comes back.
    assert {one.arn for one in found.listeners} <= {one.arn for one in wanted.listeners}


def test_a_listener_that_stays_keeps_the_groups_that_it_forwards_to():
    group = TargetGroup("a", "a", "HTTP", 80, HealthCheck())
    before = LoadBalancer(
        "arn", "main", "127.1.1.1", (Listener("l", 80, "HTTP", rules(Forward((("a", 1),)))),), (group,)
    )
    wanted = replace(before, listeners=(Listener("l", 80, "faulty", rules(FixedResponse(200))),), target_groups=())
    assert parts.sound(wanted, before, fault)[0] == before
