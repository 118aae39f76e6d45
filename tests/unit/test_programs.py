"""Programs run to their end: what a person is told, and what is left of one that is interrupted."""

import os
import signal
import sys
import threading
from functools import partial

import pytest

from homeport.errors import HomeportError
from homeport.system import processes, programs
from tests.polling import eventually

PARENT = (
    "import pathlib, signal, subprocess, sys\n"
    "child = subprocess.Popen(['sleep', '60'])\n"
    "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
    "signal.pause()\n"
)


class StopError(BaseException):
    """As a signal's handler raises it."""


def interrupt_soon(path):
    """Raise ``StopError`` in the main thread once ``path`` is written."""

    def wait_and_signal():
        eventually(lambda: path.exists() and path.read_text(), what="the program runs")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def stop(*_):
        raise StopError

    before = signal.signal(signal.SIGUSR1, stop)
    threading.Thread(target=wait_and_signal, daemon=True).start()
    return before


def test_a_system_program_is_found_without_its_folder_on_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", str(tmp_path / "sbin"))
    assert programs.find_program("tool") is None
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "tool").touch(mode=0o755)
    assert programs.find_program("tool") == str(tmp_path / "sbin" / "tool")


def test_output_comes_back_and_a_failure_tells_the_last_lines():
    assert programs.run(["sh", "-c", "echo out; echo err >&2"], "x").stdout == "out\n"
    with pytest.raises(HomeportError, match=r"^nothing was made \(exit code 3\)$") as caught:
        programs.run(["sh", "-c", "seq 1000; exit 3"], "nothing was made", "look")
    assert caught.value.log.splitlines()[-1] == "1000"
    assert len(caught.value.log.splitlines()) == programs.LAST_LINES
    assert caught.value.next_step == "look"
    assert programs.run(["false"], "x", may_fail=True).returncode == 1


@pytest.mark.parametrize(
    "run",
    [
        lambda folder: programs.run([str(folder / "none")], "nothing was made", "install it"),
        lambda folder: programs.follow(
            [str(folder / "none")],
            "x",
            log=folder / "log",
            folder=folder,
            environment={},
            on_line=print,
            end=programs.terminate,
            next_step="",
            not_run="install it",
        ),
    ],
    ids=["run", "follow"],
)
def test_a_program_that_is_not_there_is_told(tmp_path, run):
    with pytest.raises(HomeportError, match=r"cannot run .*none.*: No such file") as caught:
        run(tmp_path)
    assert caught.value.next_step == "install it"


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(HomeportError, match=r"^nothing was made: it has not ended after 0\.5 s$"):
        programs.run([sys.executable, "-c", PARENT, str(tmp_path / "pid")], "nothing was made", seconds=0.5)
    written = tmp_path / "pid"
    assert not written.exists() or processes.start_time(int(written.read_text())) is None


def test_what_is_interrupted_ends_with_all_that_it_started(tmp_path):
    before = interrupt_soon(tmp_path / "pid")
    try:
        with pytest.raises(StopError):
            programs.run([sys.executable, "-c", PARENT, str(tmp_path / "pid")], "x")
    finally:
        signal.signal(signal.SIGUSR1, before)
    child = int((tmp_path / "pid").read_text())
    eventually(lambda: processes.start_time(child) is None, what="its child has ended")


@pytest.mark.parametrize("group", [False, True])
def test_what_is_followed_ends_in_its_own_way_however_much_it_prints(tmp_path, group):
    # More than a pipe holds: with nobody to read it, it would never end.
    code = (
        "import pathlib, signal, sys\n"
        "def end(*_):\n"
        "    print('x' * 1_000_000); pathlib.Path(sys.argv[2]).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGINT, end)\n"
        "print('runs', flush=True); pathlib.Path(sys.argv[1]).write_text('1'); signal.pause()\n"
    )
    before = interrupt_soon(tmp_path / "runs")
    lines: list[str] = []
    try:
        with pytest.raises(StopError):
            programs.follow(
                [sys.executable, "-c", code, str(tmp_path / "runs"), str(tmp_path / "ended")],
                "x",
                log=tmp_path / "log",
                folder=tmp_path,
                environment=os.environ,
                on_line=lines.append,
                end=partial(programs.interrupt, seconds=20, group=group),
                next_step="",
                not_run="",
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "ended").exists()
    assert lines == ["runs\n"]
    assert (tmp_path / "log").read_text() == "runs\n"


def test_what_does_not_end_when_interrupted_is_killed_with_its_children(tmp_path):
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PARENT
    before = interrupt_soon(tmp_path / "pid")
    try:
        with pytest.raises(StopError):
            programs.follow(
                [sys.executable, "-c", code, str(tmp_path / "pid")],
                "x",
                log=tmp_path / "log",
                folder=tmp_path,
                environment=os.environ,
                on_line=print,
                end=partial(programs.interrupt, seconds=0.2, group=True),
                next_step="",
                not_run="",
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    child = int((tmp_path / "pid").read_text())
    eventually(lambda: processes.start_time(child) is None, what="its child has ended")
