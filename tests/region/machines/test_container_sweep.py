"""What is left of a region of containers after its end, however it came: nothing, and nothing of others is touched."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.region.journal import Entry, Journal
from homeport.region.machines.container import sweep as remains
from homeport.region.machines.container.engine import SOCKET
from homeport.region.state import StateFolder
from tests.fleets import HOMEPORT, run
from tests.polling import eventually
from tests.region.machines.containers import BASE, container_region, docker, need_docker


class Engine:
    """The Docker engine behind a socket of the test's own, which can be taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self.path}"}

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def stop(self) -> None:
        self.path.unlink(missing_ok=True)
        with self._lock:
            ended, self._open = [self._listener, *self._open], []
        for one in ended:
            with contextlib.suppress(OSError, AttributeError):
                one.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError), listener:
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._relay, args=[client], daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(str(SOCKET))
            with self._lock:
                self._open.append(client)
            other = {client: engine, engine: client}
            while True:
                for ready in select.select([client, engine], [], [])[0]:
                    if not (data := ready.recv(65536)):
                        return
                    other[ready].sendall(data)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    need_docker()
    engine = Engine(tmp_path / "docker.sock")
    yield engine
    engine.stop()


@pytest.fixture
def stranger() -> Iterator[str]:
    """A container that is labelled for another state folder."""
    need_docker()
    name = f"homeport-test-stranger-{os.getpid()}"
    docker("run", "-d", "--name", name, "--label", "homeport.state=/elsewhere", "--entrypoint", "sleep", BASE, "300")
    yield name
    docker("rm", "-fv", name)


def rules(region_id: str) -> list[str]:
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return [line for line in saved.splitlines() if f"homeport region {region_id}" in line]


def in_docker(region_id: str) -> list[str]:
    label = f"label=homeport.region={region_id}"
    found = docker("ps", "-aq", "--filter", label) + docker("network", "ls", "-q", "--filter", label)
    return (found + docker("images", "-q", f"homeport/region-{region_id}")).split()


def test_a_killed_region_with_docker_away_and_back_leaves_nothing(engine: Engine, stranger: str) -> None:
    with container_region(engine.environment) as region:
        facts = region.run
        image = region.register()
        lost, kept = region.launch(image, 2)
        for one in (lost, kept):
            region.reaches(one, "running")
        volume = docker("inspect", "-f", "{{(index .Mounts 0).Name}}", f"homeport-{kept}")
        address = region.client("elbv2").create_load_balancer(
            Name="front", Subnets=[s["SubnetId"] for s in region.ec2.describe_subnets()["Subnets"][:2]]
        )
        assert address
        bridge = f"hp-{facts.region_id}"
        shown = ["ip", "-4", "-brief", "address", "show", bridge]
        assert "/32" in subprocess.run(shown, capture_output=True, text=True, check=True).stdout
        assert len(rules(facts.region_id)) == 3

        engine.stop()
        eventually(lambda: "machines are not watched" in region.state.region_log.read_text(), what="that is said")
        docker("kill", f"homeport-{lost}")
        engine.start()
        reason = region.reaches(lost, "stopped")["StateReason"]["Message"]
        assert "while the Docker engine was away" in reason

        os.kill(facts.pid, signal.SIGKILL)
        engine.stop()
        refused = region.homeport("region", "down")
        assert refused.returncode == 1
        for said in ("the Docker engine does not answer", f"instance {kept}", "systemctl start docker"):
            assert said in refused.stderr
        assert {entry.id for entry in Journal(region.state.journal).entries()} >= {kept, lost, facts.region_id}

        engine.start()
        ended = region.homeport("region", "down")
        assert ended.returncode == 0, ended.stderr
        for said in (f"container homeport-{kept}", f"homeport-{facts.region_id}", "the packet filter", image):
            assert said in ended.stdout
        assert not region.state.root.exists()
        assert in_docker(facts.region_id) == []
        assert rules(facts.region_id) == []
        assert volume not in docker("volume", "ls", "-q").split()
        assert docker("inspect", "-f", "{{.State.Running}}", stranger) == "true"


def test_a_region_whose_files_are_lost_is_still_found_by_its_label() -> None:
    with container_region() as region:
        facts = region.run
        os.kill(facts.pid, signal.SIGKILL)
        for path in (*region.state.journal.iterdir(), region.state.run_file):
            path.unlink()
        ended = region.homeport("region", "down")
        assert ended.returncode == 0, ended.stderr
        assert in_docker(facts.region_id) == []
        assert rules(facts.region_id) == []


def test_a_region_without_docker_is_refused_before_it_starts(engine: Engine, tmp_path: Path) -> None:
    engine.stop()
    command = [str(HOMEPORT), "region", "up", "--driver", "container", "--state", str(tmp_path / "state")]
    refused = run(*command, check=False, env={**os.environ, **engine.environment})
    assert refused.returncode == 1
    assert "the Docker engine does not answer" in refused.stderr
    assert not (tmp_path / "state").exists()


def test_an_image_that_docker_finishes_after_its_region_s_end_goes_too(state: StateFolder) -> None:
    need_docker()
    region_id = uuid.uuid4().hex[:8]
    tag = f"homeport/region-{region_id}:ami-0123456789abcdef0"
    journal = Journal(state.journal)
    journal.record(Entry("network", region_id))
    journal.record(Entry("image", "ami-0123456789abcdef0", extra={"container": "homeport-i-0", "tag": tag}))
    late = threading.Timer(1, docker, ["tag", BASE, tag])
    late.start()
    try:
        swept = remains.sweep(state)
        late.join()
        assert [one.id for one in swept] == ["ami-0123456789abcdef0"]
        assert docker("images", "-q", tag) == ""
        assert journal.entries() == []
    finally:
        late.join()
        docker("rmi", tag, check=False)
