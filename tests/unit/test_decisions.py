from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from homeport.region.autoscaling import decisions
from homeport.region.autoscaling.lifecycle import IN_SERVICE, PENDING, TERMINATING
from homeport.region.autoscaling.model import Group, Instance, LaunchTemplate

ZONES = ["a", "b", "c"]

instances = st.lists(
    st.builds(
        Instance,
        instance_id=st.uuids().map(str),
        zone=st.sampled_from(ZONES),
        instance_type=st.just("t3.micro"),
        launch_template=st.builds(
            LaunchTemplate, st.sampled_from(["lt-1", "lt-old"]), st.just("lt"), st.sampled_from("129")
        ),
        activity_id=st.just(""),
        launched_at=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
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
        settings={
            "TerminationPolicies": list(policies),
            "MinSize": 0,
            "MaxSize": maximum,
            "DesiredCapacity": 0,
            "LaunchTemplate": {"LaunchTemplateId": "lt-1"},
        },
        subnets={zone: [f"subnet-{zone}"] for zone in ZONES},
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
def test_scale_in_never_takes_what_is_protected_or_on_its_way(members):
    group = group_of(members)
    chosen = decisions.choose_scale_in(group)
    free = [i for i in members if not i.protected and i.lifecycle != TERMINATING]
    assert (chosen is None) == (not free)
    assert chosen is None or chosen in free


@given(instances)
def test_scale_in_takes_from_no_zone_while_another_has_more_to_give(members):
    group = group_of(members)
    chosen = decisions.choose_scale_in(group)
    here = Counter(i.zone for i in members if i.lifecycle != TERMINATING)
    for other in members if chosen else ():
        if not other.protected and other.lifecycle != TERMINATING:
            assert here[chosen.zone] >= here[other.zone]


@given(instances)
def test_scale_in_takes_foreign_templates_first_and_old_versions_next(members):
    group = group_of(members)
    chosen = decisions.choose_scale_in(group)
    for other in members if chosen else ():
        same = other.zone == chosen.zone and not other.protected and other.lifecycle != TERMINATING
        if same and chosen.launch_template.template_id == "lt-1":
            assert other.launch_template.template_id == "lt-1"
            assert int(chosen.launch_template.version) <= int(other.launch_template.version)


@given(instances)
def test_scale_in_empties_a_zone_that_the_group_has_left_first(members):
    group = group_of(members)
    del group.subnets["a"]
    chosen = decisions.choose_scale_in(group)
    movable = [i for i in members if i.zone == "a" and not i.protected and i.lifecycle != TERMINATING]
    assert not movable or chosen in movable
    assert not movable or decisions.unbalanced(group)


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
        # What is launched there is not what scale-in takes next, or it would go on for ever.
        new = Instance(
            "new", target, "t3.micro", members[0].launch_template, "", datetime.now(UTC), lifecycle=IN_SERVICE
        )
        assert decisions.choose_scale_in(group_of([*members, new])) is not new


def test_rebalancing_may_exceed_the_maximum_by_a_tenth_and_at_least_one():
    assert decisions.most_while_rebalancing(group_of([], maximum=6)) == 7
    assert decisions.most_while_rebalancing(group_of([], maximum=50)) == 55


@given(st.integers(0, 10_000))
def test_backoff_grows_and_is_bounded(failures):
    assert decisions.backoff(failures) <= decisions.backoff(failures + 1) <= decisions.MAX_BACKOFF_SECONDS
    assert (decisions.backoff(failures) == 0) == (failures == 0)
