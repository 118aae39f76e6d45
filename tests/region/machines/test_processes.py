import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from homeport.system import processes
from tests.polling import eventually

SLEEP = "import signal; print('ready'); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); signal.pause()"
# The worker leaves the leader's process group, but not its session.
WITH_WORKER = """
import os, signal, sys, time
worker = os.fork()
if worker == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid())
    signal.pause()
signal.pause()
"""


def test_a_process_is_alive_until_it_ends(start):
    process = start(SLEEP)
    started = processes.start_time(process.pid)
    assert started is not None
    assert processes.alive(process.pid, started, processes.boot_id())
    process.kill()
    process.wait()
    assert not processes.alive(process.pid, started, processes.boot_id())


def test_a_zombie_counts_as_ended(start):
    process = start(SLEEP)
    started = processes.start_time(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: (stat := processes.read_stat(process.pid)) and stat.state == "Z")
    os.kill(process.pid, 0)  # the lie that this guards against
    assert not processes.alive(process.pid, started, processes.boot_id())


def test_another_process_under_the_same_pid_is_a_stranger(start):
    process = start(SLEEP)
    started = processes.start_time(process.pid)
    assert not processes.alive(process.pid, started - 1, processes.boot_id())
    processes.stop_group(process.pid, 5, started - 1)
    assert processes.alive(process.pid, started, processes.boot_id())


def test_a_name_with_parentheses_is_read(start):
    process = start("open('/proc/self/comm', 'w').write('a) R (b'); import signal; print('ready'); signal.pause()")
    stat = processes.read_stat(process.pid)
    assert (stat.session, stat.group) == (process.pid, process.pid)


def test_stopping_asks_first(start):
    process = start("import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print(1); signal.pause()")
    assert processes.stop_group(process.pid, 20)
    assert process.wait() == 7


def test_stopping_kills_after_the_grace(start):
    process = start(DEAF)
    assert not processes.stop_group(process.pid, 0.1)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("leader_first", [False, True])
def test_nothing_of_the_session_is_left(start, leader_first):
    process = start(WITH_WORKER)
    worker = int(process.ready)
    if leader_first:
        process.kill()
        process.wait()
    processes.stop_group(process.pid, 5)
    assert processes.start_time(worker) is None
    assert processes.session_members(process.pid) == []


SHELL = """
import signal, subprocess, time
unblock = lambda: signal.pthread_sigmask(signal.SIG_SETMASK, [])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
child = subprocess.Popen(["sleep", "60"], preexec_fn=unblock)
print(child.pid, flush=True)
signal.pause()
"""


def test_a_process_that_leads_no_session_is_stopped_alone(start):
    shell = start(SHELL)
    child = int(shell.ready)
    assert processes.stop_group(child, 10)
    assert processes.start_time(child) is None
    # What the shell blocks would be pending if it had been sent.
    status = Path(f"/proc/{shell.pid}/status").read_text()
    pending = int(next(line for line in status.splitlines() if line.startswith("ShdPnd")).split()[1], 16)
    assert not pending & 1 << (signal.SIGTERM - 1)
    assert processes.start_time(shell.pid) is not None


def test_init_is_never_stopped():
    with pytest.raises(ValueError, match="leads no machine"):
        processes.stop_group(0, 1)


def test_marks_find_a_process_but_never_ourselves(start):
    mark = f"r-{os.getpid()}"
    process = start(SLEEP, {processes.REGION_MARK: mark})
    start(SLEEP, {processes.REGION_MARK: mark + "0"})
    inner = start(
        "import os; from homeport.system import processes as p\n"
        f"print([stat.pid for stat in p.find_marked(('{processes.REGION_MARK}', '{mark}'))])",
        {processes.REGION_MARK: mark},
    )
    inner.wait(10)
    assert [stat.pid for stat in processes.find_marked((processes.REGION_MARK, mark))] == [process.pid]
    assert inner.ready == str([process.pid])


class Exits:
    def __init__(self):
        self.seen = {}
        self.event = threading.Event()

    def __call__(self, pid, reason):
        self.seen[pid] = reason
        self.event.set()


@pytest.fixture
def watcher():
    watcher = processes.ExitWatcher()
    yield watcher
    watcher.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [("print(1); raise SystemExit(3)", "exit code 3"), ("import os; print(1); os.kill(os.getpid(), 9)", "signal 9")],
)
def test_the_watcher_tells_how_a_child_ended_and_reaps_it(start, watcher, code, reason):
    exits = Exits()
    process = start(code)
    watcher.watch(process.pid, exits)
    assert exits.event.wait(20)
    assert exits.seen == {process.pid: reason}
    assert processes.read_stat(process.pid) is None


def test_the_watcher_sees_processes_that_are_no_children(start, watcher):
    exits = Exits()
    shell = start(
        "import signal, subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); signal.pause()"
    )
    child = int(shell.ready)
    watcher.watch(child, exits)
    os.kill(child, signal.SIGKILL)
    assert exits.event.wait(20)
    assert exits.seen == {child: "ended"}


def test_a_failing_callback_does_not_end_the_watching(start, watcher):
    def fail(pid, reason):
        raise RuntimeError("a fault of whoever listens")

    exits = Exits()
    watcher.watch(start("print(1)").pid, fail)
    watcher.watch(start("print(1, flush=True)").pid, exits)
    assert exits.event.wait(20)


def test_watching_many_leaves_no_descriptor_open(watcher):
    exits = Exits()
    before = len(list(Path("/proc/self/fd").iterdir()))
    pids = []
    for _ in range(40):
        process = subprocess.Popen(["true"])
        pids.append(process.pid)
        watcher.watch(process.pid, exits)
        process.returncode = 0
    eventually(lambda: exits.seen == dict.fromkeys(pids, "exit code 0"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_watching_what_is_gone_is_an_error(watcher):
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        watcher.watch(process.pid, lambda pid, reason: None)


def test_a_suspended_process_still_ends_by_itself(start):
    process = start(
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(); signal.pause()"
    )
    os.kill(process.pid, signal.SIGSTOP)
    assert processes.stop_group(process.pid, 20)
