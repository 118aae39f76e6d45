"""Several worker processes on one port."""

import os
import signal
import tempfile
from pathlib import Path

import httpx
import pytest
from conftest import Start
from instance import Instance, eventually, free_port
from test_contract import count

from homeport_app.__main__ import main

_TOTAL = "homeport_http_requests_total"


def workers(instance: Instance) -> list[int]:
    children = Path(f"/proc/{instance.process.pid}/task/{instance.process.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Whether the process runs; an orphan may stay a zombie for a while."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def metric_folders(instance: Instance) -> list[Path]:
    return list(instance.folder.glob("homeport-metrics-*"))


def test_one_process_has_no_workers(start: Start) -> None:
    instance = start()
    assert workers(instance) == []
    assert metric_folders(instance) == []


def test_no_folder_for_metrics_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    for name, value in {"SERVICE": "balance", "PORT": free_port(), "PROCESSES": 2}.items():
        monkeypatch.setenv(f"HOMEPORT_{name}", str(value))
    assert main([]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("homeport_app: several processes need a writable temporary folder for their metrics: ")


def test_all_workers_answer_and_are_counted_together(start: Start) -> None:
    instance = start(processes=3)
    sent = 0
    prefixes = set()

    def ask() -> bool:
        nonlocal sent
        sent += 1
        answer = httpx.get(f"{instance.url}/users/alice/balance")
        prefixes.add(answer.headers["X-Request-Id"][:20])  # one a process
        return len(prefixes) == 3

    eventually(ask, "three workers have answered")
    assert len(workers(instance)) == 3
    for _ in range(5):  # whichever worker is asked
        assert count(instance, _TOTAL, route="/users/{user}/balance", status="200") == sent
        assert count(instance, "homeport_http_requests_in_flight") == 1


def test_a_worker_that_dies_is_replaced_and_counters_do_not_fall(start: Start) -> None:
    instance = start("sample", processes=2)
    for _ in range(10):
        httpx.get(f"{instance.url}/version")
    stuck = instance.connect()
    stuck.send("/gates/one")
    eventually((instance.folder / "one.reached").exists, "a request is in flight")
    before = workers(instance)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(workers(instance)) == 2 and not set(workers(instance)) & set(before), "new workers")
    instance.wait_until_ready()
    assert count(instance, _TOTAL, route="/version") == 10
    assert count(instance, "homeport_http_requests_in_flight") == 1, "what died in flight is not in flight"
    died = instance.events("worker died")
    assert {line["pid"] for line in died} == set(before)
    assert {line["exit_code"] for line in died} == {-signal.SIGKILL}
    assert instance.stop() == 0


def test_a_worker_that_is_told_to_stop_drains_while_the_others_serve(start: Start) -> None:
    instance = start("sample", processes=2)
    connection = instance.connect()
    connection.send("/gates/one")
    eventually((instance.folder / "one.reached").exists, "a request is in flight")
    for pid in workers(instance):
        os.kill(pid, signal.SIGTERM)
    (instance.folder / "one.held").unlink()
    assert connection.receive().status_code == 200
    eventually(lambda: len(instance.events("worker died")) == 2, "both were replaced")
    assert {line["exit_code"] for line in instance.events("worker died")} == {0}
    instance.wait_until_ready()
    assert instance.stop() == 0


def test_the_leaders_death_is_the_workers_death(start: Start) -> None:
    instance = start(processes=3)
    pids = workers(instance)
    assert len(pids) == 3
    instance.process.kill()
    instance.wait()
    eventually(lambda: not any(is_alive(pid) for pid in pids), "no worker outlives its leader")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{instance.url}/healthz")


def test_sigterm_ends_all_and_removes_the_metrics_folder(start: Start) -> None:
    instance = start(processes=2)
    pids = workers(instance)
    assert metric_folders(instance)
    assert instance.stop() == 0
    assert not any(is_alive(pid) for pid in pids)
    assert metric_folders(instance) == []
    assert len(instance.events("drained")) == 2


def test_what_a_killed_leader_left_is_removed_by_the_next_and_nothing_else(start: Start) -> None:
    killed, running = start(processes=2), start(processes=2)
    [kept] = [folder for folder in metric_folders(running) if folder not in metric_folders_of(killed)]
    killed.process.kill()
    killed.wait()
    third = start(processes=2)
    assert kept in metric_folders(third)
    assert len(metric_folders(third)) == 2


def metric_folders_of(instance: Instance) -> list[Path]:
    """The folders that this instance holds open."""
    links = Path(f"/proc/{instance.process.pid}/fd").iterdir()
    targets = [str(link.readlink()) for link in links]
    return [folder for folder in metric_folders(instance) if str(folder) in targets]


def test_workers_that_die_at_once_are_started_ever_slower(start: Start) -> None:
    instance = start(processes=2)
    for deaths in range(1, 4):
        os.kill(eventually(lambda: workers(instance), "a worker")[0], signal.SIGKILL)
        eventually(lambda deaths=deaths: len(instance.events("worker died")) == deaths, "its death is noted")
    assert max(line["restart_in"] for line in instance.events("worker died")) > 0
    assert instance.stop() == 0
