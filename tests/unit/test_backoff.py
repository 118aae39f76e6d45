"""Steps that fail: when they are tried again, and how often that is said."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from homeport.region.backoff import WAITS, Backoff


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def test_the_waits_grow_and_then_stay():
    clock = Clock()
    backoff = Backoff(now=clock)
    assert backoff.ready("a")
    for wait in (*WAITS, WAITS[-1], WAITS[-1]):
        backoff.failed("a", "no")
        assert not backoff.ready("a")
        assert backoff.remaining("a") == wait
        clock.seconds += wait
        assert backoff.ready("a")


def test_a_failure_is_news_once_and_so_is_its_end():
    backoff = Backoff()
    assert [backoff.failed("a", message) for message in ("x", "x", "y", "y", "x")] == [True, False, True, False, True]
    assert backoff.times("a") == 5
    assert backoff.ok("a")
    assert not backoff.ok("a")
    assert backoff.failed("a", "x")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", ""]), st.floats(0, 100))))
def test_what_fails_for_ever_is_tried_and_told_seldom(steps):
    clock = Clock()
    backoff = Backoff(now=clock)
    tried: dict[str, list[float]] = {}
    told: dict[str, list[str]] = {}
    for key, message, pause in steps:
        clock.seconds += pause
        if not backoff.ready(key):
            continue
        tried.setdefault(key, []).append(clock.seconds)
        if backoff.failed(key, message):
            told.setdefault(key, []).append(message)
    for key, times in tried.items():
        for number, (earlier, later) in enumerate(pairwise(times)):
            assert later - earlier >= WAITS[min(number, len(WAITS) - 1)] - 1e-6
        assert backoff.times(key) == len(times)
    for messages in told.values():
        assert all(first != second for first, second in pairwise(messages))


@given(st.text(), st.text())
def test_keys_know_nothing_of_each_other(one, other):
    backoff = Backoff(now=Clock())
    backoff.failed(one, "no")
    if one != other:
        assert backoff.ready(other)
        assert not backoff.ok(other)
    assert not backoff.ready(one)
