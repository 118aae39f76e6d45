import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.system import hosts

FOREIGN = b"127.0.0.1 localhost\n\n# a comment\r\n::1\tip6-localhost  # homeport\n10.0.0.1 last.example"
NAME = "app-0123.eu-central-1.elb.homeport.internal"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "etc" / "hosts"
    path.parent.mkdir()
    path.write_bytes(FOREIGN)
    return path


def test_names_come_and_go_and_the_rest_stays(path):
    hosts.publish("r-1", NAME, "127.64.0.9", path)
    hosts.publish("r-1", "b." + NAME, "127.64.0.10", path)
    hosts.publish("r-12", NAME, "127.65.0.9", path)
    assert hosts.names("r-1", path) == {NAME: "127.64.0.9", "b." + NAME: "127.64.0.10"}
    assert path.read_bytes().endswith(FOREIGN)
    hosts.publish("r-1", NAME, "127.64.0.11", path)
    assert hosts.names("r-1", path)[NAME] == "127.64.0.11"
    hosts.withdraw("r-1", NAME, path)
    hosts.withdraw("r-1", NAME, path)
    assert hosts.names("r-1", path) == {"b." + NAME: "127.64.0.10"}
    assert hosts.names("r-12", path) == {NAME: "127.65.0.9"}
    assert hosts.remove_block("r-1", path) == 1
    assert hosts.remove_block("r-12", path) == 1
    assert hosts.remove_block("r-12", path) == 0
    assert path.read_bytes() == FOREIGN
    assert list(path.parent.iterdir()) == [path]


def test_the_resolver_of_this_machine_understands_it(path):
    if os.geteuid() != 0:
        pytest.skip("only root may look at another hosts file through the resolver")
    hosts.publish("r-1", NAME, "127.64.0.9", path)
    command = f"mount --bind {path} /etc/hosts && getent ahostsv4 {NAME} && getent ahostsv4 last.example"
    found = subprocess.run(["unshare", "--mount", "sh", "-c", command], check=False, capture_output=True, text=True)
    if "unshare" in found.stderr or "mount" in found.stderr:
        pytest.skip(f"no mount namespace here: {found.stderr.strip()}")
    assert {line.split()[0] for line in found.stdout.splitlines()} == {"127.64.0.9", "10.0.0.1"}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_foreign_content_comes_back_byte_for_byte(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("hosts") / "hosts"
    path.write_bytes(content)
    hosts.publish("r-1", NAME, "127.64.0.9", path)
    assert hosts.names("r-1", path) == {NAME: "127.64.0.9"}
    hosts.remove_block("r-1", path)
    assert path.read_bytes() == content


def test_owner_and_mode_stay(path):
    path.chmod(0o640)
    hosts.publish("r-1", NAME, "127.64.0.9", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_followed(path, tmp_path):
    link = tmp_path / "hosts"
    link.symlink_to(path)
    hosts.publish("r-1", NAME, "127.64.0.9", link)
    assert link.is_symlink()
    assert hosts.names("r-1", path) == {NAME: "127.64.0.9"}


def test_a_file_that_is_a_mount_is_written_in_place(path, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a mount needs root")
    source = tmp_path / "source"
    source.write_bytes(FOREIGN)
    mounted = subprocess.run(["mount", "--bind", source, path], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no bind mount here: {mounted.stderr.strip()}")
    try:
        inode = source.stat().st_ino
        hosts.publish("r-1", NAME, "127.64.0.9", path)
        assert hosts.names("r-1", path) == {NAME: "127.64.0.9"}
        hosts.remove_block("r-1", path)
        assert source.read_bytes() == FOREIGN
        assert (source.stat().st_ino, list(path.parent.iterdir())) == (inode, [path])
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_failed_write_in_place_puts_the_old_content_back(path, monkeypatch):
    def fail(*_):
        raise OSError(16, "Device or resource busy")

    turns = []

    def full(handle, content):
        turns.append(content)
        if len(turns) == 1:
            os.pwrite(handle, content[:10], 0)
            raise OSError(28, "No space left on device")
        write_all(handle, content)

    write_all = hosts._write_all
    monkeypatch.setattr(hosts, "_replace", fail)
    monkeypatch.setattr(hosts, "_write_all", full)
    with pytest.raises(HomeportError, match="No space left"):
        hosts.publish("r-1", NAME, "127.64.0.9", path)
    assert path.read_bytes() == FOREIGN


def test_regions_that_write_at_once_lose_nothing(path):
    code = (
        "import sys; from pathlib import Path; from homeport.system import hosts\n"
        "path, region = Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(15): hosts.publish(region, f'{n}.internal', f'127.64.0.{n}', path)\n"
        "for n in range(10): hosts.withdraw(region, f'{n}.internal', path)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), f"r-{n}"]) for n in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    for number in range(4):
        assert set(hosts.names(f"r-{number}", path)) == {f"{n}.internal" for n in range(10, 15)}
    assert path.read_bytes().endswith(FOREIGN)


def test_without_the_right_to_write_it_says_what_to_do(path, monkeypatch):
    if os.geteuid() == 0:
        code = (
            "from homeport.system import hosts\n"
            "from homeport.errors import HomeportError\n"
            "print(hosts.can_write(), hosts.remove_block('r-1'))\n"
            "try: hosts.publish('r-1', 'x.internal', '127.64.0.9')\n"
            "except HomeportError as error: print(error.message, '|', error.next_step)"
        )
        # The package is imported first: the interpreter's own folder may be closed to that user.
        switch = "import os; import homeport.system.hosts; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        done = subprocess.run([sys.executable, "-c", switch + code], capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[0] == "False 0", done.stderr
        assert "cannot write /etc/hosts: Permission denied | run as root" in done.stdout
    else:
        assert not hosts.can_write()


@pytest.mark.parametrize(
    ("name", "address"), [("a b", "127.0.0.1"), ("a\n1.2.3.4 b", "127.0.0.1"), ("a", "x"), ("", "127.0.0.1")]
)
def test_only_names_and_addresses_are_written(path, name, address):
    with pytest.raises(ValueError, match="not a host name"):
        hosts.publish("r-1", name, address, path)
    with pytest.raises(ValueError, match="not a region id"):
        hosts.publish("r\n1", NAME, "127.64.0.9", path)
    assert path.read_bytes() == FOREIGN
