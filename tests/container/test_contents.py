"""What is in the image, and what is not."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.images.container import CURRENT, Archive
from tests.container.containers import Running, docker, inspect

LARGEST = 60_000_000
"""Bytes, unpacked."""


@pytest.fixture(scope="module")
def files(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tarfile.TarInfo]]:
    """The image's file system, as a container would see it before it starts."""
    name = docker("create", image)
    exported = tmp_path_factory.mktemp("exported") / "root.tar"
    try:
        docker("export", "--output", exported, name)
    finally:
        docker("rm", name)
    with tarfile.open(exported) as opened:
        yield opened.getmembers()


def test_it_is_small(image: str, files: list[tarfile.TarInfo]) -> None:
    assert inspect(image)["Size"] <= LARGEST
    assert 10_000_000 < sum(file.size for file in files) <= LARGEST


def test_nothing_can_become_root(files: list[tarfile.TarInfo]) -> None:
    assert [file.name for file in files if file.mode & 0o6000] == []
    others_may_write = [file.name for file in files if file.mode & 0o002 and not file.issym()]
    assert [name.strip("/") for name in others_may_write] == ["tmp"]


def test_its_user_can_read_it_all_and_owns_nothing(files: list[tarfile.TarInfo]) -> None:
    engine_own = {".dockerenv"}
    unreadable = [
        file.name for file in files if file.isfile() and not file.mode & 0o004 and file.name not in engine_own
    ]
    closed = [file.name for file in files if file.isdir() and file.mode & 0o005 != 0o005]
    assert (unreadable, closed) == ([], [])
    assert {(file.uid, file.gid) for file in files} == {(0, 0)}


def test_programs_are_python_and_nothing_else(files: list[tarfile.TarInfo]) -> None:
    programs = [file.name for file in files if re.search(r"(^|/)s?bin/[^/]+$", file.name)]
    assert [name for name in programs if not re.fullmatch(r"python3(\.\d+)?", Path(name).name)] == []
    parts = {part for file in files for part in Path(file.name).parts if not file.name.startswith("var/lib/dpkg/")}
    tools = {"sh", "bash", "dash", "busybox", "pip", "ensurepip", "venv", "uv", "apt", "dpkg", "gcc", "perl", "curl"}
    assert parts & tools == {"dpkg"}, "var/lib/dpkg is a list for scanners"


def test_python_needs_not_compile(files: list[tarfile.TarInfo]) -> None:
    modules = {Path(file.name) for file in files if file.name.endswith(".py")}
    compiled = {Path(file.name) for file in files if file.name.endswith(".pyc")}
    assert len(modules) > 300
    assert {path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in modules} == compiled


def test_what_services_use_of_the_standard_library_works(balance: Running) -> None:
    program = """
import bz2, ctypes, decimal, hashlib, lzma, multiprocessing, pwd, os, socket, sqlite3, ssl, threading, uuid, zlib
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
assert (os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name) == (10001, 10001, "homeport")
assert socket.getaddrinfo("localhost", 80)
sqlite3.connect(":memory:").execute("select 1")
"""
    balance.python(program)


def test_no_file_of_it_can_be_changed(balance: Running) -> None:
    program = """
import os, sys
for path in ("/app/lib/homeport_app/__main__.py", "/app/new", "/tmp/new", "/etc/passwd"):
    try:
        open(path, "a")
    except OSError:
        continue
    sys.exit(f"{path} could be opened")
"""
    balance.python(program)


def test_scanners_find_its_debian_packages(files: list[tarfile.TarInfo]) -> None:
    names = {Path(file.name) for file in files}
    listed = {path.name for path in names if path.parent == Path("var/lib/dpkg/status.d")}
    assert {"libc6", "libssl3t64", "ca-certificates", "zlib1g"} <= listed
    assert listed == {path.parent.name for path in names if path.match("usr/share/doc/*/copyright")}


def test_the_engine_is_told_how_to_run_it(image: str) -> None:
    settings = inspect(image)["Config"]
    assert settings["User"] == "10001:10001"
    assert settings["StopSignal"] == "SIGTERM"
    assert settings["Entrypoint"] == ["python3", "-sP", "-m", "homeport_app"]
    assert settings["Healthcheck"]["Test"][0] == "CMD", "a check by way of a shell cannot run here"
    assert {f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "base.name")} <= set(
        settings["Labels"]
    )


def test_history_and_labels_hold_no_secret(image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{json .}}", image)
    told = history + json.dumps(inspect(image)["Config"])
    assert re.findall(r"(?i)password|secret|token|_key|credential|https?://", told) == []
    assert re.findall(r"AKIA|ASIA|/home/|/root/|/work", told) == []


def test_the_archive_holds_the_one_image_under_both_names(archive: Archive) -> None:
    with tarfile.open(archive.path) as opened:
        manifest = opened.extractfile("manifest.json")
        assert manifest
        listed = json.load(manifest)
    assert [sorted(entry["RepoTags"]) for entry in listed] == [sorted((archive.reference, CURRENT))]
