import gc
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from homeport.errors import HomeportError
from homeport.images import interpreter
from homeport.region.journal import Entry, Journal, sweep
from homeport.region.machines import console
from homeport.region.machines.console import KEPT_FOLDERS
from homeport.region.machines.driver import Driver, MachineSpec
from homeport.region.machines.process import image_store
from homeport.region.machines.process.driver import OPEN_FILES, ProcessDriver
from homeport.region.state import StateFolder
from homeport.system import processes
from homeport.system.addresses import claim_network
from tests.polling import eventually

IMAGE = "ami-0000000000000001"
SERVICE = """
import json, os, signal, subprocess, sys, time
mode = os.environ.get("MODE", "serve")
report = {"user": os.geteuid(), "groups": os.getgroups(), "cwd": os.getcwd(), "environment": dict(os.environ)}
print(json.dumps(report), flush=True)
if mode == "exit":
    sys.exit(3)
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "drain":
    signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), sys.exit(0)))
if mode == "workers":
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], process_group=0)
    print(f"worker {worker.pid}", flush=True)
if mode == "write":
    open(os.path.join(os.environ["TMPDIR"], "file"), "w").write("x")
    for path in ("file", "console.log", "../file"):
        try:
            open(path, "a")
        except OSError as error:
            print(path, error.strerror, flush=True)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def network():
    with claim_network(210, 240) as claim:
        yield claim.network


def make_image(state):
    folder = state.images / "homeport-app-test"
    folder.mkdir(mode=0o755)
    (folder / "service.py").write_text(SERVICE)
    (folder / "service.py").chmod(0o644)
    command = (str(interpreter.choose().path), "-I", str(folder / "service.py"))
    environment = {"HOMEPORT_VERSION_IMAGE": "test", "FROM": "image", "AGAIN": "image"}
    manifest = image_store.Manifest("homeport-app-test", "0", "3", "", "", command, environment)
    (folder / image_store.MANIFEST).write_bytes(msgspec.json.encode(manifest))
    image_store.link(state.images, IMAGE, folder)
    return folder


@pytest.fixture
def image(state):
    return make_image(state)


@pytest.fixture
def driver(state, network, image):
    driver = ProcessDriver(state, f"r-{os.getpid()}", network)
    yield driver
    driver.close()
    assert sweep(state, grace=0.1).left == ()


class Machine:
    """One machine of the test's own, and what its console told."""

    def __init__(self, driver, network):
        self.driver = driver
        self.spec = MachineSpec("i-1", IMAGE, str(network[4]), "eu-central-1a", "eu-central-1")

    def launch(self, mode="serve", **changes):
        return self.driver.launch(replace(self.spec, user_data=user_data(MODE=mode), **changes))

    def lines(self):
        return self.driver.logs("i-1", 100)

    def report(self):
        return next(json.loads(line) for line in self.lines() if line.startswith("{"))

    def has(self, text):
        return lambda: any(text in line for line in self.lines())


@pytest.fixture
def machine(driver, network):
    return Machine(driver, network)


def user_data(**settings):
    content = "".join(f"      {name}={value}\n" for name, value in settings.items())
    return f"#cloud-config\nwrite_files:\n  - path: /etc/homeport/service.env\n    content: |\n{content}"


def test_it_is_a_driver(driver):
    checked: Driver = driver
    assert checked.name == "process"


def test_a_machine_leads_a_session_and_stands_in_the_journal(machine, driver, state):
    launched = machine.launch()
    stat = processes.read_stat(launched.pid)
    assert (stat.group, stat.session) == (launched.pid, launched.pid)
    assert driver.describe("i-1") == launched
    # Popen would reap it there, and the watcher learn nothing.
    gc.collect()
    assert launched.pid not in [process.pid for process in subprocess._active]
    [entry] = Journal(state.journal).entries()
    assert (entry.id, entry.pid, entry.start_time) == ("i-1", launched.pid, stat.start_time)
    assert entry.address == launched.address
    assert entry.running
    eventually(machine.has("ready"))
    limits = Path(f"/proc/{launched.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 ", limits)
    assert re.search(rf"Max open files +{min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])} ", limits)


def test_the_environment_is_image_then_user_data_then_region(driver, machine, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_EC2_METADATA_DISABLED", "AWS_PROFILE", "SECRET", "PYTHONPATH"):
        monkeypatch.setenv(name, "inherited")
    given = user_data(
        AGAIN="user-data", HOMEPORT_SERVICE="balance", HOMEPORT_LISTEN_ADDRESS="192.0.2.1", AWS_REGION="x"
    )
    driver.launch(replace(machine.spec, user_data=given, environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}))
    eventually(machine.has("ready"))
    environment = machine.report()["environment"]
    assert {name: environment[name] for name in ("FROM", "AGAIN", "HOMEPORT_SERVICE", "AWS_REGION")} == {
        "FROM": "image",
        "AGAIN": "user-data",
        "HOMEPORT_SERVICE": "balance",
        "AWS_REGION": "x",
    }
    assert environment["HOMEPORT_LISTEN_ADDRESS"] == machine.spec.address
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert environment[processes.REGION_MARK] == f"r-{os.getpid()}"
    settings = {name for name in environment if name.startswith("HOMEPORT_")}
    assert settings == {"HOMEPORT_SERVICE", "HOMEPORT_LISTEN_ADDRESS", "HOMEPORT_VERSION_IMAGE"}
    assert "inherited" not in environment.values()
    assert set(environment) & {"AWS_EC2_METADATA_DISABLED", "AWS_ACCESS_KEY_ID"} == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs machines as another user")
def test_a_machine_of_root_is_nobody_and_writes_in_its_own_folder_alone(machine, driver, state):
    machine.launch("write")
    eventually(machine.has("ready"))
    report = machine.report()
    account = processes.unprivileged_account()
    assert (report["user"], report["groups"]) == (account.user, [])
    assert (state.instances / "i-1" / "tmp" / "file").exists()
    assert sum("Permission denied" in line for line in machine.lines()) == 3
    driver.stop("i-1", grace=10)
    assert not (state.instances / "i-1" / "tmp").exists()


def test_stopping_lets_the_machine_drain_and_tells_nobody(machine, driver, state):
    exits = []
    driver.on_exit(exits.append)
    machine.launch("drain")
    eventually(machine.has("ready"))
    driver.stop("i-1", grace=20)
    assert "drained" in machine.lines()
    assert machine.lines()[-1].endswith("stopped")
    assert driver.describe("i-1") is None
    assert Journal(state.journal).entries() == []
    driver.stop("i-1", grace=20)
    assert exits == []


def test_a_deaf_machine_is_killed(machine, driver):
    launched = machine.launch("deaf")
    eventually(machine.has("ready"))
    driver.stop("i-1", grace=0.1)
    assert processes.start_time(launched.pid) is None
    assert "had not ended after 0.1 seconds" in machine.lines()[-1]


def test_workers_die_with_their_leader_and_the_end_is_told_once(machine, driver):
    seen = []
    told = threading.Event()
    driver.on_exit(lambda instance_id: (seen.append((instance_id, driver.describe(instance_id))), told.set()))
    launched = machine.launch("workers")
    eventually(machine.has("ready"))
    worker = next(int(line.split()[1]) for line in machine.lines() if line.startswith("worker"))
    assert processes.start_time(worker)
    os.kill(launched.pid, signal.SIGKILL)
    assert told.wait(20)
    assert seen == [("i-1", replace(launched, running=False, exit_reason="signal 9"))]
    assert processes.session_members(launched.pid) == []
    assert processes.start_time(worker) is None
    assert machine.lines()[-1].endswith("ended by itself: signal 9")
    driver.stop("i-1", grace=1)
    assert len(seen) == 1
    assert driver.describe("i-1") is None


def test_the_exit_code_and_the_last_lines_are_kept(machine, driver):
    machine.launch("exit")
    eventually(lambda: not driver.describe("i-1").running)
    assert driver.describe("i-1").exit_reason == "exit code 3"
    assert machine.report()["environment"]["MODE"] == "exit"


def test_a_machine_is_launched_again_after_it_ended_or_was_stopped(machine, driver):
    machine.launch("exit")
    eventually(lambda: not driver.describe("i-1").running)
    machine.launch()
    with pytest.raises(HomeportError, match="runs already"):
        machine.launch()
    driver.stop("i-1", grace=10)
    machine.launch()
    assert sum("image ami-" in line for line in machine.lines()) == 3


def test_bad_user_data_fails_the_launch_and_stands_in_the_console(machine, driver, state):
    with pytest.raises(HomeportError, match="#cloud-config"):
        driver.launch(replace(machine.spec, user_data="#!/bin/sh\n"))
    assert "cannot launch: user-data does not begin" in machine.lines()[-1]
    assert driver.describe("i-1") is None
    assert Journal(state.journal).entries() == []


def test_what_cannot_be_launched_is_refused(machine, driver, image, state):
    with pytest.raises(HomeportError, match="outside this region's range"):
        driver.check(replace(machine.spec, address="127.0.0.1"))
    with pytest.raises(HomeportError, match="has no folder here"):
        driver.check(replace(machine.spec, image_id="ami-12345678"))
    manifest = msgspec.json.decode((image / image_store.MANIFEST).read_bytes(), type=image_store.Manifest)
    (image / image_store.MANIFEST).write_bytes(
        msgspec.json.encode(msgspec.structs.replace(manifest, command=("bin/no",)))
    )
    with pytest.raises(HomeportError, match=r"cannot run .*bin/no.*: No such file"):
        machine.launch()
    assert Journal(state.journal).entries() == []
    assert "cannot run" in machine.lines()[-1]


ADOPTABLE = """
import sys
from ipaddress import ip_network
from pathlib import Path
from homeport.region.machines.driver import MachineSpec
from homeport.region.machines.process.driver import ProcessDriver
from homeport.region.state import StateFolder
root, network, image, data = sys.argv[1:]
driver = ProcessDriver(StateFolder(Path(root)), "r-first", ip_network(network))
for number in (1, 2):
    address = str(ip_network(network)[3 + number])
    print(driver.launch(MachineSpec(f"i-{number}", image, address, "a", "r", data)).pid, flush=True)
sys.stdin.read()
"""


def test_machines_of_a_killed_region_are_taken_over(machine, driver, state, network):
    command = [sys.executable, "-c", ADOPTABLE, str(state.root), str(network), IMAGE, user_data(MODE="workers")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        pids = [int(first.stdout.readline()) for _ in range(2)]
        eventually(machine.has("ready"))
        first.kill()
    assert processes.start_time(pids[0])
    os.kill(pids[1], signal.SIGKILL)
    eventually(lambda: not processes.start_time(pids[1]))
    Journal(state.journal).record(Entry("instance", "i-intent", str(network[9])))

    told = threading.Event()
    driver.on_exit(lambda instance_id: told.set())
    [adopted] = driver.adopt()

    assert (adopted.instance_id, adopted.pid) == ("i-1", pids[0])
    assert [entry.id for entry in Journal(state.journal).entries()] == ["i-1"]
    assert processes.session_members(pids[1]) == []
    os.kill(adopted.pid, signal.SIGKILL)
    assert told.wait(20)
    assert driver.describe("i-1").exit_reason == "ended"
    assert processes.session_members(pids[0]) == []


def test_a_stranger_with_a_machine_s_pid_of_before_a_reboot_is_not_taken_over(machine, driver, state, monkeypatch):
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        stat = processes.read_stat(stranger.pid)
        Journal(state.journal).record(Entry("instance", "i-1", "", stranger.pid, stat.start_time))
        monkeypatch.setattr(processes, "boot_id", lambda: "11111111-2222-3333-4444-555555555555")
        assert driver.adopt() == []
        assert Journal(state.journal).entries() == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_the_console_of_a_stopped_machine_is_short(machine, driver, state):
    machine.launch()
    with (state.instances / "i-1" / "console.log").open("ab") as console_log:
        console_log.write(b"x" * 99 + b"\n" + b"y" * 2 * console.KEPT + b"\nlast\n")
    driver.stop("i-1", grace=10)
    assert (state.instances / "i-1" / "console.log").stat().st_size <= console.KEPT + 1000


def test_only_the_newest_folders_of_ended_machines_stay(machine, driver, state):
    for number in range(KEPT_FOLDERS + 3):
        folder = state.instances / f"i-old-{number}"
        folder.mkdir()
        os.utime(folder, (number, number))
    machine.launch()
    driver.stop("i-1", grace=10)
    names = {path.name for path in state.instances.iterdir()}
    assert len(names) == KEPT_FOLDERS
    assert "i-1" in names
    assert "i-old-0" not in names


def test_a_machine_holds_nothing_of_the_region_open(machine, driver):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        launched = machine.launch()
        eventually(machine.has("ready"))
        wanted = Path(f"/proc/self/fd/{listener.fileno()}").readlink()
        held = [path.readlink() for path in Path(f"/proc/{launched.pid}/fd").iterdir()]
        assert wanted not in held
        assert len(held) == 3


def test_with_a_full_disk_nothing_is_launched_and_what_runs_is_still_looked_after(full_disk, fill, network):
    state = StateFolder(full_disk)
    state.create()
    make_image(state)
    driver = ProcessDriver(state, f"r-{os.getpid()}", network)
    try:
        exits = []
        driver.on_exit(exits.append)
        machine = Machine(driver, network)
        for name in ("i-1", "i-2"):
            machine.launch(instance_id=name)
        fill(full_disk)
        with pytest.raises(HomeportError, match="no space left"):
            machine.launch(instance_id="i-3")
        assert driver.describe("i-3") is None
        assert {entry.id for entry in Journal(state.journal).entries()} == {"i-1", "i-2"}
        os.kill(driver.describe("i-1").pid, signal.SIGKILL)
        eventually(lambda: exits == ["i-1"])
        driver.stop("i-2", grace=10)
        assert Journal(state.journal).entries() == []
    finally:
        driver.close()
        assert sweep(state, grace=0.1).left == ()
