"""A hardened machine refuses what it should, and still does its work. Most is tried out, on the machine itself."""

import ipaddress
import re
import shlex

import pytest

PROBE = "homeport-probe"
"""Name of the user, the network namespace and the table that tests make and remove."""
PRIVATE = "/run/homeport-probe"
"""Folder for the keys and settings of tests."""
SECOND_PORT = 2222
SECOND_UNIT = "homeport-test-sshd.service"
"""Where a second ssh server with the machine's settings listens, on loopback."""
OUTSIDE = "198.18.0.2"
"""An address for benchmarks (RFC 2544): in nobody's list of ranges."""
NEAR = "198.18.0.1"
NOT_IN = 254
"""Status of a login that was refused. With ssh's own, 255, testinfra would take its own connection for lost."""


@pytest.fixture
def given(variables):
    return variables("hardening")


@pytest.fixture
def in_container(host):
    return host.run("systemd-detect-virt --container --quiet").rc == 0


def properties(host, unit, *names):
    said = host.check_output(f"systemctl show --property {','.join(names)} {unit}")
    return dict(line.split("=", 1) for line in said.splitlines())


# ---- ssh


def ssh(host, user, *options, command="true", port=22):
    line = [
        "ssh",
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    line += ["-o", "ConnectTimeout=10", "-p", str(port), *options, f"{user}@127.0.0.1", command]
    return host.run(f"{shlex.join(line)} || exit $(($? == 255 ? {NOT_IN} : $?))")


@pytest.fixture
def probe(host, given):
    """A user for the time of a test, whom the allowed groups let in."""
    groups = ",".join(given["hardening_ssh_allow_groups"][:1])
    host.check_output(f"useradd --create-home --shell /bin/sh {f'--groups {groups}' if groups else ''} {PROBE}")
    yield PROBE
    host.check_output(f"userdel --force --remove {PROBE} 2>&1")


@pytest.fixture
def second_ssh(host):
    """The same ssh server on another port, with a key of ours for every user. No account is touched."""
    host.check_output(
        f"rm -rf {PRIVATE}; install -d -m 0755 {PRIVATE} /run/sshd; ssh-keygen -q -t ed25519 -N '' -f {PRIVATE}/key"
    )
    host.check_output(f"cp {PRIVATE}/key.pub {PRIVATE}/authorized && chmod 0644 {PRIVATE}/authorized")
    # Not as a child of the session that this test came in by: a login has an id that another one cannot take.
    host.check_output(
        f"systemd-run --quiet --collect --unit={SECOND_UNIT} --property=Type=notify"
        f" /usr/sbin/sshd -D -p {SECOND_PORT} -o ListenAddress=127.0.0.1 -o PidFile={PRIVATE}/pid"
        f" -o AuthorizedKeysFile={PRIVATE}/authorized"
    )

    def connect(user, *options, command="true"):
        return ssh(host, user, "-i", f"{PRIVATE}/key", *options, command=command, port=SECOND_PORT)

    yield connect
    host.check_output(f"systemctl stop {SECOND_UNIT}; rm -rf {PRIVATE}")


def test_ssh_lets_in_a_key_and_says_where_one_is(second_ssh, probe, given):
    session = second_ssh(probe)
    assert session.rc == 0, session.stderr
    assert given["hardening_banner"].strip() in session.stderr


def test_ssh_refuses_root_even_with_a_key(second_ssh, probe):
    assert second_ssh(probe).rc == 0
    session = second_ssh("root")
    assert session.rc == NOT_IN
    assert "Permission denied" in session.stderr


def test_ssh_refuses_passwords(host):
    session = ssh(host, "admin", "-o", "PreferredAuthentications=none,password,keyboard-interactive")
    assert "Permission denied (publickey)." in session.stderr


def test_ssh_refuses_who_is_in_none_of_the_allowed_groups(host, second_ssh, probe, given):
    host.check_output(f"usermod --groups '' {probe}")
    assert second_ssh(probe).rc == (NOT_IN if given["hardening_ssh_allow_groups"] else 0)


def test_ssh_forwards_only_where_it_should(second_ssh, probe, given):
    session = second_ssh(probe, "-W", f"127.0.0.1:{SECOND_PORT}")
    assert ("SSH-2.0" in session.stdout) == given["hardening_ssh_forwarding"], session.stderr


@pytest.mark.parametrize(
    ("option", "of_old", "variable"),
    [
        ("KexAlgorithms", "diffie-hellman-group14-sha256", "hardening_ssh_kex_algorithms"),
        ("Ciphers", "aes128-cbc", "hardening_ssh_ciphers"),
        ("MACs", "hmac-sha1", "hardening_ssh_macs"),
    ],
)
def test_ssh_speaks_what_is_listed_and_nothing_of_old(host, given, option, of_old, variable):
    # a cipher that authenticates itself would make the choice of MAC moot
    plain = ("-o", "Ciphers=aes256-ctr,aes256-gcm@openssh.com")
    for name in given[variable]:
        said = ssh(host, "admin", "-o", f"{option}={name}", *(plain if option == "MACs" else ())).stderr
        assert "Permission denied" in said, name
    said = ssh(
        host, "admin", "-o", f"{option}={of_old}", *(("-o", "Ciphers=aes256-ctr") if option == "MACs" else ())
    ).stderr
    assert "Unable to negotiate" in said


def test_ssh_ends_after_too_many_keys(host, second_ssh, probe, given):
    host.check_output(f"for n in 1 2 3 4 5 6; do ssh-keygen -q -t ed25519 -N '' -f {PRIVATE}/wrong$n; done")
    wrong = [
        part for n in range(1, given["hardening_ssh_max_auth_tries"] + 1) for part in ("-i", f"{PRIVATE}/wrong{n}")
    ]
    many = ssh(host, probe, "-o", "IdentitiesOnly=yes", *wrong, port=SECOND_PORT)
    assert "Too many authentication failures" in many.stderr


# ---- users


def test_operators_are_those_in_the_list_and_no_others(host, given):
    names = {operator["name"] for operator in given["hardening_operators"]}
    assert set(host.group("operators").members) == names
    for operator in given["hardening_operators"]:
        keys = host.file(f"/home/{operator['name']}/.ssh/authorized_keys")
        assert keys.content_string.splitlines() == operator["keys"]
        assert (keys.user, keys.mode) == (operator["name"], 0o600)
        assert "NOPASSWD: ALL" in host.check_output(f"sudo --list --other-user {operator['name']}")


def test_an_operator_who_left_the_list_cannot_log_in(host, second_ssh, probe):
    """Molecule's alternative scenario makes this one before the role runs."""
    assert second_ssh(probe).rc == 0
    assert "Permission denied" in second_ssh("operator-gone").stderr
    assert not host.file("/home/operator-gone").exists


def test_no_account_has_a_password(host):
    assert [
        line for line in host.check_output("getent shadow").splitlines() if line.split(":")[1][:1] not in "!*"
    ] == []


def test_logins_keep_their_files_to_themselves_and_leave_no_core(host, probe, given):
    said = host.check_output(f"su --login {probe} --command 'umask; ulimit -c; ulimit -Hc; stat -c %a ~'").split()
    assert said == [given["hardening_umask"].zfill(4), "0", "0", "750"]


# ---- firewall


@pytest.fixture
def neighbour(host):
    """Another host on a network of its own: returns a function that says whether the firewall lets it reach a port."""
    inside = f"nsenter --net=/run/netns/{PROBE}"
    remove = f"ip link delete {PROBE} 2>/dev/null; ip netns delete {PROBE} 2>/dev/null; true"
    host.check_output(remove)
    host.check_output(
        f"set -e; ip netns add {PROBE}; ip link add {PROBE} type veth peer name peer netns {PROBE};"
        f"ip address add {NEAR}/30 dev {PROBE}; ip link set {PROBE} up;"
        f"{inside} ip address add {OUTSIDE}/30 dev peer; {inside} ip link set peer up; {inside} ip link set lo up"
    )

    def answered(port, source=OUTSIDE):
        """An answer is a connection or a refusal; what the firewall drops has none."""
        if source != OUTSIDE:
            host.check_output(
                f"{inside} ip address replace {source}/32 dev peer; ip route replace {source}/32 dev {PROBE}"
            )
        attempt = (
            "import socket,sys; s=socket.socket(); s.settimeout(0.7); s.bind((sys.argv[1], 0));"
            "sys.exit(s.connect_ex((sys.argv[2], int(sys.argv[3]))) not in (0, 111))"
        )
        return host.run(shlex.join([*inside.split(), "python3", "-c", attempt, source, NEAR, str(port)])).rc == 0

    answered.inside = inside
    yield answered
    host.check_output(remove)


def of_range(cidr):
    """The last but one address of an IPv4 range."""
    return str(ipaddress.ip_network(cidr)[-3])


@pytest.mark.parametrize("what", ["ssh", "service", "metrics"])
def test_firewall_opens_a_port_to_the_ranges_that_are_named(neighbour, given, what):
    ports = {
        "ssh": ["22"],
        "service": given["hardening_service_ports"].split("-"),
        "metrics": [given["hardening_metrics_port"]],
    }[what]
    allowed = {
        name: [cidr for cidr in given[f"hardening_{name}_cidrs"] if ":" not in cidr]
        for name in ("ssh", "service", "metrics")
    }
    everyone = {cidr for cidrs in allowed.values() for cidr in cidrs}
    for port in ports:
        assert not neighbour(port), f"{port} from {OUTSIDE}"
        for cidr in everyone:
            assert neighbour(port, of_range(cidr)) == (cidr in allowed[what]), f"{port} from {cidr}"


def test_firewall_drops_all_else_and_answers_pings(host, neighbour, given):
    everyone = given["hardening_ssh_cidrs"] + given["hardening_service_cidrs"]
    first, last = map(int, given["hardening_service_ports"].split("-"))
    source = of_range(next(cidr for cidr in everyone if ":" not in cidr))
    for port in (23, first - 1, last + 1, 65000):
        assert not neighbour(port, source), port
    assert host.run(f"{neighbour.inside} ping -c 1 -W 5 {NEAR}").rc == 0


def test_firewall_is_loaded_at_boot_and_leaves_the_tables_of_others(host):
    assert host.service("nftables.service").is_enabled
    host.check_output(f"nft add table inet {PROBE}")
    try:
        for verb in ("reload", "restart"):
            host.check_output(f"systemctl {verb} nftables.service")
            tables = host.check_output("nft list tables").splitlines()
            assert {"table inet hardening", f"table inet {PROBE}"} <= set(tables), verb
    finally:
        host.check_output(f"nft delete table inet {PROBE}")


def test_nothing_listens_but_what_the_firewall_knows(host, given):
    first, last = map(int, given["hardening_service_ports"].split("-"))
    known = {22, given["hardening_metrics_port"], 9100, *range(first, last + 1)}
    sockets = (
        socket.removeprefix("tcp://").rsplit(":", 1)
        for socket in host.socket.get_listening_sockets()
        if socket.startswith("tcp://")
    )
    assert {int(port) for address, port in sockets if not address.startswith("127.")} <= known


# ---- kernel


def test_kernel_parameters_are_in_force(host, given, in_container):
    """What is written for the network is in force; in a container the kernel is the host's, and is left alone."""
    names = ["network"] if in_container else ["network", "kernel"]
    text = "\n".join(host.file(f"/etc/sysctl.d/99-z-hardening-{name}.conf").content_string for name in names)
    written = dict(re.findall(r"^([\w.]+) = (.*)$", text, re.MULTILINE))
    assert written.items() >= {"net.ipv4.tcp_syncookies": "1", "net.ipv4.conf.all.accept_redirects": "0"}.items()
    said = host.check_output(f"sysctl --ignore {shlex.join(written)}")
    actual = dict(line.split(" = ", 1) for line in said.splitlines())
    assert actual == {name: value for name, value in written.items() if name in actual}
    overrides = {name: str(value) for name, value in given["hardening_sysctl_overrides"].items()}
    assert {name: actual[name] for name in overrides if name.startswith("net.ipv4.")} == overrides


def test_a_container_cannot_change_its_hosts_kernel(host, in_container):
    kept = properties(host, "systemd-sysctl.service", "ReadOnlyPaths")["ReadOnlyPaths"].split()
    expected = {"/proc/sys/dev", "/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/vm"} if in_container else set()
    assert set(kept) == expected
    assert properties(host, "systemd-sysctl.service", "Result")["Result"] == "success"


def test_services_leave_no_core(host):
    assert host.check_output("systemd-run --quiet --pipe --wait sh -c 'ulimit -Hc'") == "0"


# ---- what is recorded


def test_audit_rules_are_in_force_or_the_unit_says_why_not(host, in_container):
    rules = host.file("/etc/audit/rules.d/hardening.rules").content_string
    wanted = set(re.findall(r"-k (\w+)", rules))
    assert wanted >= {"identity", "modules", "sudo", "time"}
    assert host.service("auditd.service").is_enabled
    if in_container:
        state = properties(host, "auditd.service", "ActiveState", "ConditionResult")
        assert state == {"ActiveState": "inactive", "ConditionResult": "no"}
    else:
        assert host.service("auditd.service").is_running
        assert set(re.findall(r"(?:key=|-k )(\w+)", host.check_output("auditctl -l"))) >= wanted


def test_audit_rules_can_be_read(host):
    """In a user namespace auditctl reads a rule, and then finds no audit system to give it to."""
    read = "grep ^- /etc/audit/rules.d/hardening.rules | while read -r rule; do unshare -r auditctl $rule 2>&1; done"
    assert set(host.run(read).stdout.splitlines()) == {"The audit system is disabled"}


def test_the_journal_outlives_a_boot_and_is_bounded(host, given):
    assert host.check_output("find /var/log/journal -name '*.journal' | head -n 1")
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert f"SystemMaxUse={given['hardening_journal_max_use']}" in settings


# ---- updates, time, files


def test_updates_are_for_security_only(host, given):
    ask = (
        "import apt_pkg, runpy; apt_pkg.init_config();"
        "print('\\n'.join(runpy.run_path('/usr/bin/unattended-upgrade')['get_allowed_origins']()))"
    )
    origins = host.check_output(shlex.join(["python3", "-c", ask])).splitlines()
    assert origins
    assert all("security" in origin.lower() for origin in origins)
    settings = host.check_output("apt-config dump Unattended-Upgrade::Automatic-Reboot")
    assert (
        f'Unattended-Upgrade::Automatic-Reboot "{str(given["hardening_upgrades_reboot"]).lower()}";'
        in settings.splitlines()
    )
    assert host.service("apt-daily-upgrade.timer").is_enabled


def test_the_clock_is_kept_or_the_unit_says_why_not(host, given, in_container):
    settings = host.check_output("chronyd -p -f /etc/chrony/chrony.conf").splitlines()
    assert set(given["hardening_time_sources"]) <= set(settings)
    assert host.service("chrony.service").is_enabled
    if in_container:
        assert properties(host, "chrony.service", "ActiveState")["ActiveState"] == "inactive"
    else:
        assert host.service("chrony.service").is_running


def test_folders_for_all_hold_no_programs_and_devices(host, given):
    options = properties(host, "tmp.mount", "Options", "UnitFileState")
    assert options["UnitFileState"] == "enabled"
    assert set(given["hardening_tmp_options"]) <= set(
        host.check_output("sed -n 's/^Options=//p' /etc/systemd/system/tmp.mount.d/*").split(",")
    )
    assert {"nosuid", "nodev", "noexec"} <= set(host.mount_point("/dev/shm").options)


def test_units_that_open_a_way_in_are_masked(host):
    assert host.service("debug-shell.service").is_masked
    assert host.service("ctrl-alt-del.target").is_masked


def test_nothing_failed_for_being_hardened(host):
    ours = "auditd chrony nftables ssh systemd-sysctl systemd-journald systemd-remount-fs tmp.mount unattended-upgrades"
    assert host.run(f"systemctl is-failed --quiet {ours}").rc != 0
