from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from homeport.region.autoscaling import decisions
from homeport.region.autoscaling.model import IN_SERVICE, PENDING, TERMINATING, Group, Instance, LaunchTemplate

ZONES = ["a", "b", "c"]

instances = st.lists(
    st.builds(
        Instance,
        instance_id=st.uuids().map(str),
        zone=st.sampled_from(ZONES),
        instance_type=st.just("t3.micro"),
        launch_template=st.builds(LaunchTemplate, st.just("lt-1"), st.just("lt"), st.sampled_from("123")),
        activity_id=st.just(""),
        lifecycle=st.sampled_from([IN_SERVICE, PENDING, TERMINATING]),
        protected=st.booleans(),
        in_service_at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    max_size=12,
    unique_by=lambda i: i.instance_id,
)


def group_of(members, policies=("Default",), maximum=6):
    return Group(
        name="g",
        arn="arn:aws:autoscaling:eu-central-1:1:g",
        created=datetime.now(UTC),
        settings={"TerminationPolicies": list(policies), "MinSize": 0, "MaxSize": maximum, "DesiredCapacity": 0},
        subnets={zone: f"subnet-{zone}" for zone in ZONES},
        instances={member.instance_id: member for member in members},
    )


@given(st.lists(st.sampled_from(ZONES), max_size=30))
def test_a_launch_goes_to_a_zone_with_the_fewest(occupied):
    counts = Counter(occupied)
    chosen = decisions.choose_zone(ZONES, occupied)
    assert counts[chosen] == min(counts[zone] for zone in ZONES)


@given(st.integers(1, 20))
def test_launches_one_by_one_stay_balanced(count):
    occupied: list[str] = []
    for _ in range(count):
        occupied.append(decisions.choose_zone(ZONES, occupied))
        counts = Counter(dict.fromkeys(ZONES, 0)) + Counter(occupied)
        assert max(counts.values()) - min(counts[z] for z in ZONES) <= 1


@given(instances)
def test_scale_in_follows_aws_s_order(members):
    group = group_of(members)
    chosen = decisions.choose_scale_in(group)
    candidates = [i for i in group.live() if not i.protected]
    if not candidates:
        assert chosen is None
        return
    assert chosen in candidates
    crowded = decisions.crowded_zones(group.live())
    in_crowded = [i for i in candidates if i.zone in crowded]
    if in_crowded:
        assert chosen.zone in crowded
    pool = in_crowded or candidates
    pool = [i for i in pool if i.lifecycle == PENDING] or pool
    assert chosen.launch_template.version == min(i.launch_template.version for i in pool)


@given(instances.filter(lambda found: len(found) > 0))
def test_oldest_and_newest_instance_are_as_they_say(members):
    for member in members:
        member.lifecycle, member.protected, member.zone = IN_SERVICE, False, "a"
    times = [member.in_service_at for member in members]
    assert decisions.choose_scale_in(group_of(members, ["OldestInstance"])).in_service_at == min(times)
    assert decisions.choose_scale_in(group_of(members, ["NewestInstance"])).in_service_at == max(times)


@given(instances)
def test_a_group_that_is_unbalanced_gets_even_by_moving(members):
    group = group_of(members)
    live = group.live()
    if decisions.unbalanced(group):
        counts = Counter(dict.fromkeys(ZONES, 0)) + Counter(i.zone for i in live)
        target = decisions.choose_zone(ZONES, [i.zone for i in live])
        assert counts[target] <= max(counts.values()) - 2


def test_rebalancing_may_exceed_the_maximum_by_a_tenth_and_at_least_one():
    assert decisions.most_while_rebalancing(group_of([], maximum=6)) == 7
    assert decisions.most_while_rebalancing(group_of([], maximum=50)) == 55


@given(st.integers(0, 10_000))
def test_backoff_grows_and_is_bounded(failures):
    assert decisions.backoff(failures) <= decisions.backoff(failures + 1) <= decisions.MAX_BACKOFF_SECONDS
    assert (decisions.backoff(failures) == 0) == (failures == 0)
