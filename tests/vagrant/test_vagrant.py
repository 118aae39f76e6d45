"""`vagrant up` to `vagrant destroy`, for real. The last test ends the machine that the others share."""

import json
import os
import re
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.polling import eventually
from tests.vagrant.machine import Machine, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(machine: Machine) -> Machine:
    """The machine, made and provisioned."""
    figures = machine.recap(machine.vagrant("up", seconds=1800))
    assert figures["failed"] == figures["unreachable"] == 0
    return machine


def get(port: int, path: str) -> bytes | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def test_the_service_answers_a_balance(up: Machine) -> None:
    answer = eventually(lambda: get(up.service_port, "/users/alice/balance"), 120, "a balance from the machine")
    assert json.loads(answer) == {"user": "alice", "tocos": 100}


def test_node_exporter_answers(up: Machine) -> None:
    answer = eventually(lambda: get(up.metrics_port, "/metrics"), 120, "metrics from the machine")
    assert b"node_cpu_seconds_total" in answer


def test_nobody_but_this_computer_reaches_the_ports(up: Machine) -> None:
    for port in (up.service_port, up.metrics_port):
        (line,) = run("ss", "-Hltn", f"sport = :{port}").stdout.splitlines()
        assert line.split()[3] == f"127.0.0.1:{port}"


def test_the_suite_for_every_kind_of_host_passes(up: Machine, tmp_path: Path) -> None:
    config = tmp_path / "ssh-config"
    # One connection for all: an emulated machine takes seconds to open one. The socket's path must be short.
    shared = f"  ControlMaster auto\n  ControlPath /tmp/{os.getpid()}-%C\n  ControlPersist 60\n"
    config.write_text(up.vagrant("ssh-config").rstrip() + "\n" + shared)
    host = [f"--hosts=ssh://{up.name}", f"--ssh-config={config}", "--sudo", "--variables=vagrant/variables.yml"]
    # test_hygiene.py is about an image that nothing has run on.
    suite = ["tests/infra", "--ignore=tests/infra/test_hygiene.py", "-p", "no:cacheprovider"]
    # The machine has two processors, and only tests of one file get in each other's way.
    parallel = ["-n", "2", "--dist", "loadfile"]
    answer = run(sys.executable, "-m", "pytest", "-q", *suite, *parallel, *host, seconds=1200)
    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr[-1000:]


def test_to_provision_again_changes_nothing(up: Machine) -> None:
    output = up.vagrant("provision", seconds=900)
    # Each changed task's heading, up to the host's line.
    changed = re.findall(
        r"^(?:TASK|RUNNING HANDLER) \[([^\]]+)\](?:(?!^TASK|^RUNNING).)*?^changed: ", output, re.M | re.S
    )
    assert changed == []
    figures = up.recap(output)
    assert figures["ok"] > 0
    assert figures["changed"] == figures["failed"] == figures["unreachable"] == 0


def test_destroy_leaves_nothing_but_the_boxs_disk(up: Machine) -> None:
    assert {"domain", "net", "vol"} - {kind for kind, _ in up.left()} <= {"net"}
    up.vagrant("destroy", "--force")
    left = up.left() - {("pool", "default")}
    assert {kind for kind, _ in left} <= {"vol"}
    assert all("_vagrant_box_image_" in name for _, name in left)
    for port in (up.service_port, up.metrics_port):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0
