import os
import signal
import subprocess
import sys

import msgspec
import pytest

from homeport.region import daemon
from homeport.region.journal import Entry, Journal, sweep
from homeport.region.state import Run
from homeport.system import processes

SLEEP = "import signal; print('ready'); signal.pause()"


def run_of(process, **changes):
    return Run(
        **{
            "pid": process.pid,
            "start_time": processes.start_time(process.pid),
            "region_id": f"r-{process.pid}",
            "api_port": 4566,
            "network": "127.64.0.0/16",
            "speed": 1.0,
            "version": "0",
            "repository": "/",
            **changes,
        }
    )


def entry_of(kind, process, **changes):
    fields = {"id": f"x-{process.pid}", "pid": process.pid, "start_time": processes.start_time(process.pid), **changes}
    return Entry(kind, **fields)


def test_entries_come_back_and_are_forgotten(state):
    journal = Journal(state.journal)
    entry = Entry("instance", "i-1", "127.64.0.4", 17, 99, {"image": "ami-1"}, processes.boot_id())
    journal.record(Entry("instance", "i-1", "127.64.0.4"))
    journal.record(entry)
    journal.record(Entry("balancer", "b-1"))
    assert journal.entries("instance") == [entry]
    assert len(journal.entries()) == 2
    journal.forget("instance", "i-1")
    journal.forget("instance", "i-1")
    assert journal.entries("instance") == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "instance"}', '{"kind": "instance", "id": 3}'])
def test_broken_entries_are_reported_and_harm_nobody(state, text):
    journal = Journal(state.journal)
    journal.record(Entry("instance", "i-1"))
    (state.journal / "instance-i-0.json").write_text(text)
    assert [entry.id for entry in journal.entries()] == ["i-1"]
    assert [path.name for path in journal.broken()] == ["instance-i-0.json"]
    assert sweep(state).broken == (state.journal / "instance-i-0.json",)
    assert list(state.journal.iterdir()) == []


@pytest.mark.parametrize("entry_id", ["", "../x", ".x"])
def test_ids_stay_inside_the_folder(state, entry_id):
    with pytest.raises(ValueError, match="not a journal id"):
        Journal(state.journal).record(Entry("instance", entry_id))


def test_a_sweep_stops_region_machines_and_what_only_the_marks_know(state, start):
    journal = Journal(state.journal)
    region, machine, ended = start(SLEEP), start(SLEEP), start(SLEEP)
    unrecorded = start(SLEEP, {processes.STATE_MARK: str(state.root)})
    by_region = start(SLEEP, {processes.REGION_MARK: f"r-{region.pid}"})
    stranger = start(SLEEP, {processes.REGION_MARK: "r-other", processes.STATE_MARK: str(state.root) + "2"})
    state.write_run(run_of(region))
    journal.record(entry_of("instance", machine))
    journal.record(entry_of("balancer", ended))
    journal.record(Entry("instance", "i-intent"))
    ended.kill()
    ended.wait()

    result = sweep(state)

    assert {(s.kind, s.pid) for s in result.swept if s.was_running} == {
        ("region", region.pid),
        ("instance", machine.pid),
        ("unrecorded", unrecorded.pid),
        ("unrecorded", by_region.pid),
    }
    assert {s.id for s in result.swept if not s.was_running} == {f"x-{ended.pid}", "i-intent"}
    assert result.left == ()
    assert journal.entries() == []
    assert [p.pid for p in (region, machine, unrecorded, by_region) if p.poll() is None] == []
    assert stranger.poll() is None


def test_a_sweep_spares_whoever_took_over_the_pid(state, start):
    process = start(SLEEP)
    Journal(state.journal).record(entry_of("instance", process, start_time=1))
    assert [s.was_running for s in sweep(state).swept] == [False]
    assert process.poll() is None


@pytest.fixture
def reboot(monkeypatch):
    """Return a function after which this process believes that the machine was booted again."""

    def boot():
        monkeypatch.setattr(processes, "boot_id", lambda: "11111111-2222-3333-4444-555555555555")

    return boot


def test_an_entry_is_of_the_boot_in_which_it_was_written(state, start, reboot):
    journal = Journal(state.journal)
    journal.record(entry_of("instance", start(SLEEP)))
    [before] = journal.entries()
    assert before.running
    reboot()
    assert not before.running
    # What an older version wrote tells no boot: its processes are found by their marks.
    assert not msgspec.structs.replace(before, boot_id="").running


@pytest.mark.parametrize("kind", ["region", "instance", "balancer"])
def test_whoever_has_the_pid_and_the_start_time_after_a_reboot_is_spared(state, start, reboot, kind):
    process = start("import subprocess; subprocess.Popen(['sleep', '60'])\n" + SLEEP)
    Journal(state.journal).record(entry_of(kind, process))
    state.write_run(run_of(process))
    assert daemon.alive(state)
    reboot()
    assert daemon.alive(state) is None
    swept = sweep(state)
    assert {(s.was_running, s.pid) for s in swept.swept} == {(False, process.pid)}
    assert swept.left == ()
    assert process.poll() is None
    assert Journal(state.journal).entries() == []


def test_a_session_of_a_stranger_is_spared_after_a_reboot_though_its_leader_ended(state, start, reboot):
    leader = start("import subprocess; print(subprocess.Popen(['sleep', '60']).pid)")
    leader.wait(20)
    Journal(state.journal).record(entry_of("instance", leader, start_time=1))
    try:
        reboot()
        sweep(state)
        assert processes.start_time(int(leader.ready))
    finally:
        os.kill(int(leader.ready), signal.SIGKILL)


def test_a_sweep_spares_the_region_that_runs_it(state):
    started = processes.start_time(os.getpid())
    Journal(state.journal).record(Entry("region", "r-1", pid=os.getpid(), start_time=started))
    assert sweep(state).left == ()


def test_a_marked_process_in_a_foreign_session_is_stopped_alone(state, start):
    code = (
        "import signal, subprocess, sys\n"
        f"p = subprocess.Popen(['sleep', '60'], env={{'{processes.STATE_MARK}': {str(state.root)!r}}})\n"
        "print(p.pid, flush=True); signal.pause()"
    )
    shell = start(code)
    swept = sweep(state).swept
    assert [s.pid for s in swept] == [int(shell.ready)]
    assert shell.poll() is None
    assert processes.start_time(int(shell.ready)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start what another user must not stop")
def test_a_sweep_by_another_user_is_refused_and_says_who_could(state, start):
    process = start(SLEEP)
    entry = entry_of("instance", process)
    Journal(state.journal).record(entry)
    # The interpreter's own folder may be closed to that user: it switches once all is imported.
    code = (
        "import os, sys; from pathlib import Path\n"
        "from homeport.errors import HomeportError; from homeport.region.journal import sweep\n"
        "from homeport.region.state import StateFolder\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: sweep(StateFolder(Path(sys.argv[1])))\n"
        "except HomeportError as error: print(error.message)"
    )
    state.write_run(run_of(process))
    done = subprocess.run([sys.executable, "-c", code, str(state.root)], capture_output=True, text=True, check=False)
    assert f"process {process.pid} " in done.stdout, done.stderr
    assert "belongs to another user" in done.stdout
    assert process.poll() is None
    [kept] = Journal(state.journal).entries()
    assert (kept.id, kept.pid) == (entry.id, entry.pid)
