"""Locks, drafts and digests: who waits for whom, what is left, what counts."""

import subprocess
import sys
import threading

import pytest

from homeport.system import digests, locks
from homeport.system.drafts import draft
from tests.polling import eventually

HOLDER = (
    "import pathlib, signal, subprocess, sys; from homeport.system.drafts import draft\n"
    "with draft(pathlib.Path(sys.argv[1]), '.draft-', lock=sys.argv[2], on_wait=print) as made:\n"
    "    (made / 'half').touch()\n"
    "    child = subprocess.Popen(sys.argv[3:], close_fds=False) if sys.argv[3:] else None\n"
    "    print(child.pid if child else 0, flush=True)\n"
    "    signal.pause()\n"
)


@pytest.fixture
def hold(tmp_path):
    """Return a function that starts another process with a draft in ``tmp_path``, and gives its child's pid."""
    started = []

    def start(lock="", *command):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path, lock, *command], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("lock", ["", ".lock"])
def test_one_draft_at_a_time_and_a_killed_one_goes(tmp_path, hold, lock):
    holder, _ = hold(lock)
    waiting, done = threading.Event(), []

    def make():
        with draft(tmp_path, ".draft-", lock=lock, on_wait=waiting.set) as made:
            done.append(list(tmp_path.glob(".draft-*/*")) + list(made.iterdir()))

    second = threading.Thread(target=make)
    second.start()
    assert waiting.wait(20)
    assert not done
    holder.kill()
    second.join(20)
    assert done == [[]]
    assert [path.name for path in tmp_path.iterdir()] == ([lock] if lock else [])


def test_what_a_killed_one_started_is_waited_for(tmp_path, hold):
    holder, child = hold("", "sleep", "60")
    holder.kill()
    holder.wait()
    with pytest.raises(locks.LockedError):
        locks.take(tmp_path)
    with pytest.raises(locks.LockedError):
        locks.take(tmp_path, 0.1)
    subprocess.run(["kill", "-9", str(child)], check=True)
    with draft(tmp_path, ".draft-", on_wait=lambda: None) as made:
        assert list(tmp_path.iterdir()) == [made]
    eventually(lambda: not list(tmp_path.iterdir()))


def test_different_locks_of_one_folder_do_not_meet(tmp_path, hold):
    hold(".one")
    with draft(tmp_path, ".other-", lock=".other", on_wait=lambda: pytest.fail("it waits")):
        pass
    assert len(list(tmp_path.glob(".draft-*"))) == 1


def test_a_failure_leaves_nothing_and_lets_go(tmp_path):
    def fail():
        with draft(tmp_path, ".draft-", on_wait=print) as made:
            (made / "closed").mkdir(mode=0o500)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())
    locks.take(tmp_path)


def test_what_is_missing_is_made_only_when_asked(tmp_path):
    with pytest.raises(FileNotFoundError):
        locks.take(tmp_path / "lock")
    locks.take(tmp_path / "lock", make=True)
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_digest_counts_content_names_rights_and_facts(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "in").mkdir(parents=True)
        for name in ("a", "in/b"):
            (tmp_path / folder / name).write_text(name)

    def digest(*facts, root=tmp_path / "one", names=("a", "in/b")):
        return digests.of_files(root, [root / name for name in names], *facts)

    same = digest("x")
    assert digest("x", root=tmp_path / "two") == same
    assert digest("x", names=("in/b", "a")) == same
    others = {same, digest(), digest("x", ""), digest("", "x"), digest("x", names=("a",))}
    (tmp_path / "one" / "a").chmod(0o755)
    others.add(digest("x"))
    (tmp_path / "one" / "a").write_text("b")
    others.add(digest("x"))
    (tmp_path / "one" / "a").rename(tmp_path / "one" / "c")
    others.add(digest("x", names=("c", "in/b")))
    assert len(others) == 8
