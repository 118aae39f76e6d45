import os
import stat
import subprocess
import sys
import threading

import boto3
import pytest
from moto import mock_aws

from homeport.errors import HomeportError
from homeport.images import build, interpreter
from homeport.images.build import build_image
from homeport.images.register import register_image
from homeport.region.machines.process import image_store


@pytest.fixture
def application(tmp_path):
    source = tmp_path / "app"
    package = source / "src" / "homeport_app"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "stale.pyc").write_bytes(b"stale")
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import os; print(os.environ['HOMEPORT_VERSION_IMAGE'])\n")
    (source / "requirements.lock").write_text("")
    (source / "services.yaml").write_text("services: []\n")
    return source


def test_an_image_runs_as_the_machine_user_and_nobody_can_change_it(application, state):
    folder = build_image(application, state)
    image = image_store.load(folder)
    assert folder.name == image.manifest.name == f"homeport-app-{image.manifest.digest[:12]}"
    done = interpreter.run_unprivileged(image.command, image.manifest.environment)
    assert (done.stdout, done.stderr) == (f"{folder.name}\n", "")
    assert (folder / "services.yaml").read_text() == "services: []\n"
    assert list(folder.rglob("homeport_app/__pycache__/__main__*.pyc"))
    assert not list(folder.rglob("stale.pyc"))
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode & 0o222 == 0, path
            assert mode & 0o444 == 0o444, path


def test_the_same_sources_give_the_same_image(application, state):
    steps = []
    first = build_image(application, state)
    os.utime(application / "services.yaml", (0, 0))
    (application / "src" / "homeport_app" / "__pycache__" / "new.pyc").write_bytes(b"new")
    made = (first / image_store.MANIFEST).stat()
    assert build_image(application, state, on_step=steps.append) == first
    assert (first / image_store.MANIFEST).stat() == made
    assert steps == [f"image {first.name} is there already"]


@pytest.mark.parametrize("changed", ["src/homeport_app/new.py", "services.yaml", "requirements.lock"])
def test_any_change_gives_another_image(application, state, changed):
    first = build_image(application, state)
    (application / changed).write_text("# changed\n")
    assert build_image(application, state) != first


def test_what_killed_builds_left_is_cleared_away(application, state):
    (state.images / ".building-dead" / "venv").mkdir(parents=True)
    folder = build_image(application, state)
    assert list(state.images.iterdir()) == [folder]


def test_an_image_without_a_readable_manifest_is_baked_again(application, state):
    folder = build_image(application, state)
    (folder / image_store.MANIFEST).chmod(0o644)
    (folder / image_store.MANIFEST).write_text("{")
    assert build_image(application, state) == folder
    assert image_store.load(folder).manifest.name == folder.name


def test_two_builds_at_once_make_one_image(application, state):
    code = (
        "import sys; from pathlib import Path; from homeport.images.build import build_image\n"
        "from homeport.region.state import StateFolder\n"
        "print(build_image(Path(sys.argv[1]), StateFolder(Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(application), str(state.root)]
    builds = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=120)[0].strip() for process in builds}
    assert [process.returncode for process in builds] == [0, 0]
    assert {str(path) for path in state.images.iterdir()} == folders
    assert len(folders) == 1


@pytest.mark.parametrize("missing", ["src/homeport_app/__init__.py", "requirements.lock", "services.yaml"])
def test_a_folder_without_an_application_is_refused(application, state, missing):
    (application / missing).unlink()
    with pytest.raises(HomeportError, match=missing):
        build_image(application, state)


def test_a_failed_build_leaves_nothing_and_tells_why(application, state):
    (application / "requirements.lock").write_text("bottle==0.13.4\n")
    with pytest.raises(HomeportError, match="uv pip sync failed") as caught:
        build_image(application, state)
    assert "hash" in caught.value.log.lower()
    (application / "requirements.lock").write_text("")
    (application / "src" / "homeport_app" / "broken.py").write_text("def :\n")
    with pytest.raises(HomeportError, match="does not compile") as caught:
        build_image(application, state)
    assert "broken.py" in caught.value.log
    (application / "src" / "homeport_app" / "broken.py").unlink()
    (application / "src" / "homeport_app" / "__init__.py").write_text("import not_there\n")
    with pytest.raises(HomeportError, match="cannot be imported") as caught:
        build_image(application, state)
    assert "not_there" in caught.value.log
    assert list(state.images.iterdir()) == []


def test_the_interpreter_must_be_within_the_machine_users_reach(tmp_path, state):
    if os.geteuid() != 0:
        pytest.skip("only root runs machines as another user")
    good = interpreter.choose()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to(good.path)
    old = state.root / "old"
    old.write_text("#!/bin/sh\necho 3.10.1\n")
    old.chmod(0o755)
    assert interpreter.choose([closed / "python", old, good.path]) == good
    with pytest.raises(HomeportError, match="nobody, as which the services run") as caught:
        interpreter.choose([closed / "python", old, tmp_path / "absent"])
    assert "Permission denied" in caught.value.log
    assert "version 3.10.1 is older" in caught.value.log


@pytest.fixture
def clients(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("ec2", "eu-central-1"), boto3.client("ssm", "eu-central-1")


def test_an_image_is_registered_once_and_the_pointer_names_it(application, state, clients):
    ec2, ssm = clients
    first = build_image(application, state)
    image_id = register_image(ec2, ssm, first, "local")
    assert register_image(ec2, ssm, first, "local") == image_id
    assert image_store.resolve(state.images, image_id) == image_store.load(first)
    [described] = ec2.describe_images(Owners=["self"])["Images"]
    assert described["Name"] == first.name
    assert {"Key": "homeport:digest", "Value": image_store.load(first).manifest.digest} in described["Tags"]

    (application / "services.yaml").write_text("services: [x]\n")
    second = register_image(ec2, ssm, build_image(application, state), "local")
    assert second != image_id
    assert ssm.get_parameter(Name="/homeport/local/image")["Parameter"]["Value"] == second
    assert image_store.resolve(state.images, image_id).folder == first


@pytest.mark.parametrize(
    ("image_id", "message"),
    [
        ("ami-0123456789abcdef0", "has no folder here"),
        ("", "not an image id"),
        ("../x", "not an image id"),
        ("homeport-app-0", "not an image id"),
        ("ami-00000001/../..", "not an image id"),
    ],
)
def test_ids_that_name_no_image_are_refused(state, image_id, message):
    with pytest.raises(HomeportError, match=message):
        image_store.resolve(state.images, image_id)


def test_linking_is_seen_whole_by_readers(application, state):
    folder = build_image(application, state)
    image_store.link(state.images, "ami-00000001", folder)
    done, faults = threading.Event(), []

    def read():
        while not done.is_set():
            try:
                image_store.resolve(state.images, "ami-00000001")
            except HomeportError as error:
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        image_store.link(state.images, "ami-00000001", folder)
    done.set()
    reader.join()
    assert faults == []
    assert build.PACKAGE in folder.name.replace("-", "_")
