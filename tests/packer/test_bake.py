"""A bake with the docker source: the suite and the hygiene check decide whether there is an image."""

import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.packer.conftest import DIGEST, PACKER, ROOT, given, packer
from tests.polling import eventually

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.file: {path: /usr/share/homeport, state: directory, mode: "0755"}
    - ansible.builtin.copy: {src: "{{ service_image_archive }}", dest: /usr/share/homeport/app.tar, mode: "0644"}
"""
SUITE = """
def test_provisioned(host):
    assert host.file("/usr/share/homeport/app.tar").exists
"""
KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----"


def docker(*arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def base():
    for program in ("docker", "mmdebstrap"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: no container can be baked")
    if os.geteuid() != 0:
        pytest.skip("not root: the base cannot be made from packages")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the Docker engine does not answer")
    subprocess.run([PACKER / "debian" / "build"], check=True)
    subprocess.run([ROOT / "scripts" / "collections"], check=True)


@pytest.fixture
def rooms(tmp_path):
    """What a bake reads, with a playbook of one task: the roles have tests of their own."""
    folder = tmp_path / "repository"
    shutil.copytree(PACKER, folder / "packer", symlinks=True)
    (folder / "ansible").mkdir()
    shutil.copy(ROOT / "ansible" / "ansible.cfg", folder / "ansible")
    (folder / "ansible" / "collections").symlink_to(ROOT / "ansible" / "collections")
    (folder / "ansible" / "image.yml").write_text(PLAYBOOK)
    (folder / "tests" / "infra").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "infra" / "test_hygiene.py", folder / "tests" / "infra")
    (folder / "tests" / "infra" / "test_provisioned.py").write_text(SUITE)
    return folder


@pytest.fixture
def name():
    """A name for the image that nobody else uses; what has it at the end is removed."""
    chosen = f"homeport-test/{uuid.uuid4().hex[:12]}"
    yield chosen
    left = docker("image", "ls", "--quiet", chosen).split()
    if left:
        docker("image", "rm", "--force", *left)


@pytest.fixture
def bake(rooms, name, variables, old):
    def run():
        more = variables | {"docker_repository": name, "manifest": str(rooms / "packer-manifest.json")}
        template = rooms / "packer" / "1.6" if old else rooms / "packer"
        return packer("build", "-color=false", "-only=docker.machine", *given(more), template, cwd=rooms, timeout=600)

    return run


def images(name):
    return docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name).split()


def made_nothing(done, rooms, name):
    """No image with a name, none without, no manifest, and the container is gone."""
    containers = [line.split()[-1] for line in done.stdout.splitlines() if "Container ID:" in line]
    assert len(containers) == 1
    # Packer kills it; the engine removes it once its file systems are free, which takes a loaded machine a moment.
    eventually(lambda: not docker("ps", "--all", "--quiet", "--filter", f"id={containers[0]}"))
    assert "Image ID:" not in done.stdout
    assert images(name) == []
    return not (rooms / "packer-manifest.json").exists()


def test_a_clean_machine_becomes_an_image(bake, rooms, name):
    done = bake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert images(name) == [f"{name}:{DIGEST[:12]}"]
    (build,) = json.loads((rooms / "packer-manifest.json").read_text())["builds"]
    assert build["artifact_id"] == docker("image", "inspect", "--format", "{{.Id}}", f"{name}:{DIGEST[:12]}").strip()
    assert build["custom_data"]["digest"] == DIGEST
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", f"{name}:{DIGEST[:12]}"))
    assert config["Entrypoint"] == ["/lib/systemd/systemd"]
    assert not config.get("Cmd")
    assert config["StopSignal"] == "SIGRTMIN+3"


def test_a_machine_that_fails_the_suite_does_not(bake, rooms, name):
    (rooms / "ansible" / "image.yml").write_text(PLAYBOOK.replace("app.tar", "other.tar"))
    done = bake()
    assert done.returncode != 0
    assert "test_provisioned" in done.stdout
    assert made_nothing(done, rooms, name)


def left_by_the_playbook(rooms: Path) -> None:
    task = f'    - ansible.builtin.copy: {{content: "{KEY}", dest: /opt/key, mode: "0600"}}\n'
    (rooms / "ansible" / "image.yml").write_text(PLAYBOOK + task)


def left_by_the_clean_up(rooms: Path) -> None:
    script = rooms / "packer" / "steps" / "clean-up"
    text = script.read_text()
    assert "rm -f /etc/ssh/ssh_host_*\n" in text
    script.write_text(text.replace("rm -f /etc/ssh/ssh_host_*\n", ""))


@pytest.mark.parametrize(
    ("dirty", "fails"),
    [
        (left_by_the_playbook, {"test_no_secret"}),
        # A host key is a secret, too.
        (left_by_the_clean_up, {"test_no_host_keys", "test_no_secret"}),
    ],
)
def test_a_dirty_machine_does_not(bake, rooms, name, dirty, fails):
    dirty(rooms)
    done = bake()
    assert done.returncode != 0
    assert set(re.findall(r"FAILED tests/infra/test_hygiene.py::(\w+)", done.stdout)) == fails
    assert made_nothing(done, rooms, name)
