import logging
import threading

import pytest

from homeport.region.runner import Runner
from tests.polling import eventually


@pytest.fixture
def runner():
    made = Runner("steps", workers=4)
    yield made
    made.close()


def free(runner):
    eventually(lambda: not runner.busy(), 10, "no step is under way")


def test_one_key_is_one_step_at_a_time_and_others_go_on(runner):
    gate, ran = threading.Event(), []
    assert runner.run("a", lambda: gate.wait(10) and ran.append("first"))
    assert not runner.run("a", lambda: ran.append("second"))
    assert runner.busy() == {"a"}
    assert runner.run("b", lambda: ran.append("other"))
    eventually(lambda: ran == ["other"], 10, "the other key went on")
    gate.set()
    free(runner)
    assert ran == ["other", "first"]
    assert runner.run("a", lambda: ran.append("third"))
    free(runner)
    assert ran == ["other", "first", "third"]


def test_a_failure_is_told_once_and_so_is_its_end(runner, caplog):
    caplog.set_level(logging.INFO)
    told, tries, fails = [], [], [True]

    def step():
        tries.append(fails[0])
        if fails[0]:
            raise LookupError("nothing there")

    for _ in range(2):
        eventually(lambda: runner.run("a", step, tell=told.append, label="the first of all"), 10, "a try")
        free(runner)
    fails[0] = False
    eventually(lambda: runner.run("a", step, tell=told.append, label="the first of all"), 10, "a third try")
    free(runner)
    assert told == ["LookupError: nothing there", ""]
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO"]
    assert caplog.text.count("the first of all") == 2


def test_a_step_that_failed_is_put_off_and_only_that(runner):
    runner.run("a", lambda: 1 / 0)
    free(runner)
    assert not runner.run("a", lambda: None)
    assert runner.run("b", lambda: None)
    runner.forget("a")
    assert runner.run("a", lambda: None)


def test_the_key_is_free_before_done_is_called_and_failures_do_not_call_it(runner):
    seen = []
    runner.done = lambda: seen.append(runner.busy())
    runner.run("a", lambda: 1 / 0)
    free(runner)
    runner.run("b", lambda: None)
    eventually(lambda: seen == [frozenset()], 10, "done was called once")


def test_whoever_is_told_cannot_keep_a_key_busy(runner):
    def tell(message):
        raise OSError(message)

    runner.run("a", lambda: 1 / 0, tell=tell)
    free(runner)


def test_close_waits_for_what_is_under_way_and_takes_no_more():
    runner, gate, ran = Runner("steps", workers=1), threading.Event(), []
    runner.run("a", lambda: gate.wait(10) and ran.append("a"))
    runner.run("b", lambda: ran.append("b"))
    closer = threading.Thread(target=runner.close)
    closer.start()
    eventually(lambda: not runner.run("c", lambda: ran.append("c")), 10, "nothing more is taken")
    assert closer.is_alive()
    gate.set()
    closer.join(10)
    assert ran == ["a"]
