"""A fresh image, before its first boot as an instance: nothing in it may belong to one machine, or tell of its making.

Only for an image's own file system, so it is not part of a run against living machines:

    pytest tests/infra/test_hygiene.py --hosts=docker://NAME
"""

import pytest

SECRETS = r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|-----BEGIN ([A-Z]+ )?PRIVATE KEY-----"


def found(host, arguments: str) -> list[str]:
    """Return what `find` lists on the machine's own disk."""
    return host.check_output(f"find {arguments}").split("\n") if host.check_output(f"find {arguments}") else []


def test_no_host_keys(host):
    assert found(host, "/etc/ssh -name 'ssh_host_*'") == []


def test_nobody_can_log_in_by_key(host):
    assert found(host, "/root /home -name 'authorized_keys*' -size +0") == []


def test_nobody_has_a_password(host):
    hashes = [line.split(":")[1] for line in host.file("/etc/shadow").content_string.splitlines()]
    assert [text for text in hashes if not text.startswith(("*", "!"))] == []


def test_machine_id_is_made_at_the_first_boot(host):
    # `uninitialized` is systemd's own word for it.
    assert host.file("/etc/machine-id").content_string.strip() in ("", "uninitialized")
    assert not host.file("/var/lib/dbus/machine-id").is_file or host.file("/var/lib/dbus/machine-id").is_symlink


def test_cloud_init_has_not_run(host):
    assert not host.file("/var/lib/cloud/instance").exists
    assert found(host, "/var/lib/cloud/instances /var/lib/cloud/data -mindepth 1 2>/dev/null; true") == []
    assert not host.file("/etc/cloud/cloud-init.disabled").exists


def test_random_seed_is_not_shared(host):
    assert not host.file("/var/lib/systemd/random-seed").exists


def test_no_environment(host):
    assert not host.file("/etc/homeport/service.env").exists


def test_no_history(host):
    assert found(host, "/root /home -name '.*_history' -size +0") == []


def test_no_logs(host):
    assert found(host, "/var/log -type f -size +0") == []


def test_no_temporary_files(host):
    assert found(host, "/tmp /var/tmp -mindepth 1 -type f") == []


def test_no_leftovers_of_the_build(host):
    assert found(host, "/root /home -maxdepth 2 -name '.ansible' -o -maxdepth 2 -name '.cache'") == []
    assert found(host, "/var/cache/apt/archives -name '*.deb'") == []
    assert found(host, "/var/lib/apt/lists -type f -size +0") == []
    assert found(host, "/var/lib/containers /usr/share/homeport -name 'homeport-load' -o -name 'images.new'") == []


def test_no_secret(host):
    places = "/etc /root /home /opt /srv /usr/local /var/lib/cloud /var/spool"
    assert host.run(f"grep -rIlE '{SECRETS}' {places}").stdout == ""


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY", "http_proxy"])
def test_no_setting_of_the_build(host, name):
    assert host.run(f"grep -rIl {name}= /etc/environment /etc/environment.d /etc/systemd /etc/profile.d").stdout == ""
