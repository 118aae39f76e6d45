import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from homeport.errors import HomeportError
from homeport.region.journal import Entry, Journal
from homeport.region.state import Run, StateFolder
from homeport.system import processes
from homeport.system.files import write_atomically

HOLD = """
import sys
from pathlib import Path
from homeport.region.state import StateFolder
with StateFolder(Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_region_on_the_folder_is_told_who_holds_it(state):
    command = [sys.executable, "-c", HOLD, str(state.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(HomeportError, match=f"process {first.pid}"), state.hold():
            pass
        first.kill()
    with state.hold():
        assert state.lock.read_text() == f"{os.getpid()}\n"


def test_the_run_file_comes_back(state):
    assert state.read_run() is None
    run = Run(1, 2, "r-1", 4566, "127.64.0.0/16", 60.0, "0.1.0", "/repository", boot_id=processes.boot_id())
    state.write_run(run)
    assert state.read_run() == run
    state.run_file.write_text("{")
    assert state.read_run() is None


def test_a_secret_is_never_readable_by_others(state):
    write_atomically(state.credentials, "secret\n", 0o600)
    write_atomically(state.credentials, "secret 2\n", 0o600)
    assert stat.S_IMODE(state.credentials.stat().st_mode) == 0o600


def test_readers_see_old_or_new_never_half(state):
    path, texts, seen = state.root / "file", ["a" * 100_000, "b" * 100_000], set()
    write_atomically(path, texts[0])
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        write_atomically(path, texts[turn % 2])
    done.set()
    reader.join()
    assert seen <= set(texts)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(full_disk, fill):
    state = StateFolder(full_disk)
    state.create()
    write_atomically(full_disk / "kept", "before")
    with pytest.raises(HomeportError, match="no space left") as caught:
        write_atomically(full_disk / "kept", "x" * 1_000_000)
    assert "df -h" in caught.value.next_step
    fill(full_disk)
    with pytest.raises(HomeportError, match="no space left"):
        Journal(state.journal).record(Entry("instance", "i-1"))
    assert (full_disk / "kept").read_text() == "before"
    files = {path for path in full_disk.rglob("*") if path.is_file()}
    assert files - {state.lock} == {full_disk / "ballast", full_disk / "kept"}


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeportError, match="cannot write"):
        StateFolder(tmp_path / "file" / "state").create()


def test_removing_leaves_strangers_alone(state):
    (state.images / "image").mkdir()
    (state.images / "image" / "file").write_text("")
    (state.images / "image").chmod(0o555)
    (state.images / "ami-1").symlink_to("image")
    state.region_log.write_text("")
    (state.root / "mine.txt").write_text("")
    assert state.remove() == [state.root / "mine.txt"]
    (state.root / "mine.txt").unlink()
    assert state.remove() == []
    assert not state.root.exists()
    assert state.remove() == []


@pytest.mark.parametrize(
    ("environment", "user", "expected"),
    [
        ({"HOMEPORT_STATE": "/x/y"}, 0, "/x/y"),
        ({}, 0, "/var/lib/homeport"),
        ({"XDG_STATE_HOME": "/x"}, 1000, "/x/homeport"),
        ({"HOME": "/home/somebody"}, 1000, "/home/somebody/.local/state/homeport"),
    ],
)
def test_the_usual_folder(monkeypatch, environment, user, expected):
    for name in ("HOMEPORT_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert StateFolder.default().root == Path(expected)
