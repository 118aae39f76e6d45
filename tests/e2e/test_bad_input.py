"""What goes wrong before anything runs: a clear error, and nothing is made that was not there before."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from homeport.images import interpreter
from homeport.region import access, daemon
from homeport.region.state import StateFolder
from homeport.system import processes
from tests.fleets import HOMEPORT, ROOT, free_port, marked_processes, run, state_folder, wait
from tests.hiding import alone_on_the_network, without
from tests.signals import interruptible


@pytest.fixture
def state():
    with state_folder() as folder:
        yield folder


@pytest.fixture
def terraform(tmp_path, monkeypatch):
    """A stand-in in front of PATH that writes down what it is given and works until it is told to fail."""
    fake = tmp_path / "bin" / "terraform"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        'here=$(dirname "$0")\n'
        'case "$1" in version) cat "$here/version"; exit ;; esac\n'
        'env >"$here/environment"\n'
        "trap 'touch \"$here/interrupted\"; exit 1' INT\n"
        'touch "$here/working"\n'
        # Two minutes at most: nobody else ends it should the test be killed.
        'n=0; until [ -e "$here/fail" ] || [ $n -ge 6000 ]; do sleep 0.02; n=$((n + 1)); done\n'
        'echo "Error: this one fails on purpose"\n'
        "exit 3\n"
    )
    fake.chmod(0o755)
    (fake.parent / "version").write_text("Terraform v1.11.4\non linux_amd64\n")
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    yield fake.parent
    # Whoever still waits for it ends now.
    (fake.parent / "fail").touch()


@contextlib.contextmanager
def started(state, *arguments):
    """A command that runs beside the test, and never longer than it."""
    command = [*interruptible(), HOMEPORT, *arguments, "--state", state.root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def held(port, address="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.bind((address, port))
        listener.listen()
        yield listener


@contextlib.contextmanager
def disk(options):
    """A small disk of one's own to keep a state folder on."""
    folder = Path(tempfile.mkdtemp(prefix="homeport-e2e-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        run(HOMEPORT, "down", "--state", folder / "state", check=False)
        run("umount", folder)
        folder.rmdir()


def fill(folder, leave=0):
    """Fill a disk up but for so many bytes."""
    free = shutil.disk_usage(folder).free
    with (folder / "ballast").open("wb") as ballast, contextlib.suppress(OSError):
        ballast.write(bytes(max(0, free - leave)))


def told(done, message, code=1):
    """Check that a command failed in words: what, and what to do next."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert message in done.stderr, done.stderr
    assert "\nnext: " in done.stderr, done.stderr
    return done


def refused(state, *arguments, message, before=(), **options):
    """Run a command that must fail in words and leave nothing behind."""
    done = told(run(*before, HOMEPORT, *arguments, "--state", state.root, check=False, **options), message)
    assert marked_processes(state) == []
    assert not state.root.exists(), sorted(state.root.rglob("*"))
    return done


def up(*more):
    return ["up", "--port", str(free_port()), "--var", f"listener_port={free_port()}", *more]


@pytest.mark.parametrize("command", [["up"], ["region", "up"]], ids=" ".join)
def test_the_api_s_port_is_taken(state, command):
    port = free_port()
    with held(port):
        done = refused(state, *command, "--port", str(port), message=f"port {port} on 127.0.0.1 is taken: process")
    assert f"process {os.getpid()} (" in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_the_load_balancer_s_port_is_taken_on_all_addresses(state, address):
    port = free_port()
    with held(port, address):
        done = refused(
            state,
            *("up", "--port", str(free_port()), "--var", f"listener_port={port}"),
            message=f"the load balancer cannot have its port {port}",
        )
    assert f"process {os.getpid()} (" in done.stderr
    assert "--var listener_port=" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("port", "message"), [(1338, "instances cannot have a metadata service"), (4565, "no range")])
@pytest.mark.parametrize("command", [["up"], ["region", "up"]], ids=" ".join)
def test_a_port_that_every_region_needs_is_taken_on_all_addresses(state, port, message, command):
    # Apart from other regions of this machine: they have the port on addresses of their own.
    words = alone_on_the_network()
    script = (
        "import socket, subprocess, sys\n"
        "subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
        f"with socket.create_server(('0.0.0.0', {port})):\n"
        "    sys.exit(subprocess.run(sys.argv[1:]).returncode)\n"
    )
    done = refused(state, *command, message=message, before=[*words, sys.executable, "-c", script])
    assert f"listens on 0.0.0.0:{port}" in done.stderr


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("listener_port=99999", "a port is a number from 1 to 65535"),
        ("listener_port=http", "a port is a number from 1 to 65535"),
        ("listener_port", "a name and a value are needed"),
    ],
)
def test_a_variable_that_cannot_be(state, variable, message):
    refused(state, "up", "--port", str(free_port()), "--var", variable, message=message)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_a_port_that_cannot_be(state, port):
    done = run(HOMEPORT, "region", "up", "--port", port, "--state", state.root, check=False)
    assert done.returncode == 2
    assert "Invalid value for '--port'" in done.stderr
    assert not state.root.exists()


def test_a_malformed_catalogue_is_told_with_line_and_rule(state, tmp_path):
    copy = tmp_path / "copy"
    for folder in ("homeport", "terraform/environments"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "app").mkdir()
    catalogue = copy / "app" / "services.yaml"
    good = (ROOT / "app" / "services.yaml").read_text()
    assert "exposure: public" in good
    catalogue.write_text(good.replace("exposure: public", "exposure: everybody"))
    line = good[: good.index("exposure: public")].count("\n") + 1
    program = "from homeport.cli import main; main()"
    done = run(
        *(sys.executable, "-P", "-c", program, *up(), "--state", state.root),
        check=False,
        env=os.environ | {"PYTHONPATH": str(copy)},
    )
    told(done, f"{catalogue}, line {line}: services.balance.exposure: ")
    assert not state.root.exists()


@pytest.mark.parametrize("program", ["terraform", "haproxy"])
def test_a_program_is_missing(state, program):
    done = refused(state, *up(), message=f"{program} is not", before=without(program))
    assert "install" in done.stderr.partition("next: ")[2]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Terraform v1.5.7\non linux_amd64\n", "is Terraform v1.5, too old"),
        ("Terraform v0.11.15\n", "is Terraform v0.11, too old"),
        ("Terraform v1.9.8-dev\n", "is Terraform v1.9, too old"),
        ("command not found\n", "does not name a version"),
    ],
)
def test_terraform_is_too_old(state, terraform, said, message):
    (terraform / "version").write_text(said)
    # Should it be let through, it is not to wait.
    (terraform / "fail").touch()
    done = refused(state, *up(), message=message)
    assert "install Terraform 1.11 or newer" in done.stderr


def test_terraform_fails_with_its_last_lines_and_without_the_user_s_accounts(state, terraform, monkeypatch):
    for name, value in {
        "AWS_PROFILE": "not-there",
        "AWS_SESSION_TOKEN": "somebody-else",
        "AWS_ACCESS_KEY_ID": "somebody-else",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_REGION": "us-west-2",
        "TF_VAR_vpc_cidr": "10.9.0.0/16",
        "TF_CLI_ARGS": "-somebody-else",
        "TF_CLI_CONFIG_FILE": str(terraform / "no such file"),
        "TF_WORKSPACE": "somebody-else",
    }.items():
        monkeypatch.setenv(name, value)
    (terraform / "fail").touch()
    done = told(run(HOMEPORT, *up(), "--state", state.root, check=False), "terraform init failed")
    assert "| Error: this one fails on purpose" in done.stderr
    given = dict(line.partition("=")[::2] for line in (terraform / "environment").read_text().splitlines())
    assert "somebody-else" not in str(given)
    assert given["AWS_ACCESS_KEY_ID"] == access.read_keys(state).access_key_id
    assert given["AWS_REGION"] == access.REGION_NAME
    assert given["AWS_CONFIG_FILE"] == os.devnull
    assert f"-var=vpc_cidr={access.running(state).network}" in given["TF_CLI_ARGS_plan"]
    assert Path(given["TF_CLI_CONFIG_FILE"]).is_file()
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "TF_WORKSPACE", "TF_VAR_vpc_cidr"} & set(
        given
    )
    assert f"\nnext: homeport terraform --state {state.root} init\n" in done.stderr
    # The region stays: the same command goes on from there.
    assert daemon.alive(state)
    run(HOMEPORT, "down", "--state", state.root)
    assert marked_processes(state) == []


def test_two_commands_at_the_same_moment(state, terraform):
    with started(state, *up()) as first:
        try:
            wait("the first one's Terraform works", (terraform / "working").exists)
            for command in (up(), ["region", "up"], ["down"], ["region", "down"]):
                done = run(HOMEPORT, *command, "--state", state.root, check=False, timeout=30)
                told(done, f"another command is at work on the state folder {state.root}")
            assert daemon.alive(state)
        finally:
            (terraform / "fail").touch()
        output, errors = first.communicate(timeout=30)
    assert first.returncode == 1, output
    assert "terraform init failed" in errors


def test_regions_that_start_at_the_same_moment_on_one_folder(state):
    port = str(free_port())
    command = [HOMEPORT, "region", "up", "--port", port, "--state", state.root]
    starting = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(process.communicate(timeout=30)[1], process.returncode) for process in starting]
    assert [code for _, code in ended].count(0) >= 1
    for errors, code in ended:
        assert code == 0 or "another command is at work" in errors, errors
    assert len(marked_processes(state)) == 1
    assert daemon.alive(state).api_port == int(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_ends_its_terraform_and_can_be_cleaned_up(state, terraform, number):
    with started(state, *up()) as process:
        wait("Terraform works", (terraform / "working").exists)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, output + errors
    assert "error: interrupted\nnext: " in errors
    assert (terraform / "interrupted").exists()
    assert [p.pid for p in processes.all_stats() if str(terraform) in processes.command_line(p.pid)] == []
    run(HOMEPORT, "down", "--state", state.root)
    assert marked_processes(state) == []
    assert not state.root.exists()


def test_a_killed_up_leaves_nothing_that_down_does_not_find(state, terraform):
    with started(state, *up()):
        wait("Terraform works", (terraform / "working").exists)
    # Terraform goes on alone, and the region.
    assert len(marked_processes(state)) >= 2
    run(HOMEPORT, "down", "--state", state.root)
    assert marked_processes(state) == []
    assert not state.root.exists()


def test_an_interrupted_region_up_takes_the_region_back(state):
    with started(state, "region", "up", "--port", str(free_port())) as process:
        wait("the region's process is there", lambda: marked_processes(state) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert marked_processes(state) == []
    assert not state.root.exists()


@pytest.mark.parametrize("command", [["region", "up"], ["down"], ["up"]], ids=" ".join)
def test_a_state_folder_that_is_a_file(tmp_path, command):
    (tmp_path / "file").write_text("mine")
    done = run(HOMEPORT, *command, "--state", tmp_path / "file", check=False)
    told(done, f"{tmp_path / 'file'} is not a folder")
    told(run(HOMEPORT, "region", "up", "--state", tmp_path / "file" / "state", check=False), "cannot write")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", [["region", "up"], ["down"], ["region", "down"]], ids=" ".join)
def test_a_state_folder_that_holds_other_files_is_left_as_it_is(tmp_path, command):
    # The names that a region would use, as in this very repository.
    (tmp_path / "terraform").mkdir()
    (tmp_path / "terraform" / "main.tf").write_text("mine")
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "diary.json").write_text("mine")
    done = run(HOMEPORT, *command, "--state", tmp_path, check=False)
    told(done, f"{tmp_path} holds files that are not Homeport's")
    assert (tmp_path / "terraform" / "main.tf").read_text() == "mine"
    assert (tmp_path / "journal" / "diary.json").read_text() == "mine"
    assert len(list(tmp_path.rglob("*"))) == 4


def test_an_empty_state_folder_option(tmp_path):
    done = run(HOMEPORT, "region", "up", "--state", "", check=False)
    told(done, "--state is empty")


def test_a_read_only_state_folder(tmp_path):
    with disk("size=1m,ro") as folder:
        for command in (["region", "up"], ["up"]):
            done = run(HOMEPORT, *command, "--state", folder / "state", "--port", str(free_port()), check=False)
            told(done, f"cannot write {folder / 'state'}")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("leave", [0, 4096, 8192, 12288])
def test_a_full_disk_while_the_region_starts(leave):
    with disk("size=256k,mode=755") as folder:
        state = StateFolder(folder / "state")
        fill(folder, leave)
        done = run(HOMEPORT, "region", "up", "--state", state.root, "--port", str(free_port()), check=False)
        told(done, "no space left on the disk while writing")
        assert f"df -h {folder}" in done.stderr
        assert list(folder.iterdir()) == [folder / "ballast"]
        assert marked_processes(state) == []


def test_a_full_disk_while_an_image_is_baked_or_an_instance_launched():
    with disk("size=128m,mode=755") as folder:
        state = StateFolder(folder / "state")
        run(HOMEPORT, "region", "up", "--state", state.root, "--port", str(free_port()))
        fill(folder, 1024 * 1024)
        told(run(HOMEPORT, "image", "build", "--state", state.root, check=False), "no space left on the disk")
        assert list(state.images.iterdir()) == []
        (folder / "ballast").unlink()
        image = run(HOMEPORT, "image", "build", "--state", state.root).stdout.split()[-1]
        fill(folder)
        ec2, subnets = network(state)

        def launch():
            (instance,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnets[0])["Instances"]
            return wait("a decision", lambda: look(instance["InstanceId"]))

        def look(instance_id):
            (found,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
            return found if found["State"]["Name"] not in ("pending", "shutting-down") else None

        instance = launch()
        assert instance["State"]["Name"] == "terminated"
        assert "no space left on the disk" in instance["StateReason"]["Message"]
        (folder / "ballast").unlink()
        assert launch()["State"]["Name"] == "running"
        fill(folder)
        run(HOMEPORT, "down", "--state", state.root)
        assert list(folder.iterdir()) == [folder / "ballast"]
        assert marked_processes(state) == []


def elsewhere(tmp_path):
    (tmp_path / "gone").mkdir()
    return ["sh", "-c", f'cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec "$@"', "sh"]


PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
STRANGE = {
    "proxies": {**dict.fromkeys(PROXIES, "http://127.0.0.1:9"), "no_proxy": "", "NO_PROXY": ""},
    "another account": {
        "AWS_PROFILE": "not-there",
        "AWS_CONFIG_FILE": "/not/there",
        "AWS_SESSION_TOKEN": "x",
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:9",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "TF_CLI_CONFIG_FILE": "/not/there",
    },
    "no home, no language": {"LC_ALL": "C", "LANG": "C", "HOME": ""},
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_environment_disturbs_nothing(name, tmp_path):
    environment = {**os.environ, **STRANGE[name]}
    if not environment["HOME"]:
        del environment["HOME"]
    with state_folder() as usual:
        state = StateFolder(usual.root.parent / 'it\'s a "folder" of mine, ä')

        def homeport(*arguments):
            return run(*elsewhere(tmp_path), HOMEPORT, *arguments, "--state", state.root, env=environment)

        try:
            homeport("region", "up", "--port", str(free_port()))
            homeport("image", "build")
            assert "the region is empty" in homeport("status").stdout
            # As a user's shell and tools would, with whatever else stands in the environment.
            script = (
                f'eval "$({HOMEPORT} region env --state "$1")" && "$2" -c "import boto3;'
                "print(boto3.client('ec2').describe_images(Owners=['self'])['Images'][0]['State'])\""
            )
            tool = run("bash", "-c", script, "sh", state.root, sys.executable, env=environment)
            assert tool.stdout == "available\n"
        finally:
            homeport("down")
        assert not state.root.exists()
        assert marked_processes(state) == []


def test_a_relative_state_folder_in_a_folder_that_is_gone(tmp_path):
    done = run(*elsewhere(tmp_path), HOMEPORT, "status", "--state", "here", check=False)
    told(done, "the folder that you are in is gone")


def test_commands_without_a_region_say_so(state):
    looks = ("status", "status --json", "region env", "terraform plan", "image build", "image list")
    for command in [words.split() for words in looks]:
        refused(state, *command, message=f"no region runs on the state folder {state.root}")


def test_down_without_anything_and_twice(state):
    for _ in range(2):
        assert "nothing is left" in run(HOMEPORT, "down", "--state", state.root).stdout
        assert not state.root.exists()


def test_a_region_without_root_has_addresses_instead_of_names(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("this test becomes another user; without root every other test shows it")
    program = interpreter.choose()
    if tuple(program.version.split(".")[:2]) != tuple(str(part) for part in sys.version_info[:2]):
        pytest.skip(f"user nobody can run Python {program.version} only, not the tests' own")
    site = next(path for path in sys.path if path.endswith("site-packages"))
    with state_folder() as usual:
        home = usual.root.parent
        os.chown(home, 65534, 65534)
        listener = free_port()

        def as_nobody(*words, **more):
            become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{site}"}
            # A folder that is closed to this user: what lies there is as good as missing.
            environment["TF_CLI_CONFIG_FILE"] = str(tmp_path / "terraform.rc")
            return run(*become, *words, env=environment | {"PYTHONDONTWRITEBYTECODE": "1"}, **more)

        def homeport(*arguments, **more):
            return as_nobody(str(program.path), "-c", "from homeport.cli import main; main()", *arguments, **more)

        state = StateFolder(home / ".local" / "state" / "homeport")
        homeport("region", "up", "--port", str(free_port()))
        try:
            assert (state.credentials.stat().st_mode & 0o777, state.credentials.stat().st_uid) == (0o600, 65534)
            environment = homeport("region", "env").stdout
            assert f"AWS_ENDPOINT_URL={access.endpoint(access.running(state).api_port)}" in environment
            name = balancer(state, listener)
            assert name.startswith("127.")
            assert wait("an answer", lambda: answer(f"http://{name}:{listener}/")) == b"fixed"
            told(homeport("region", "up", "--port", str(listener), "--state", "/proc/x", check=False), "cannot write")
        finally:
            homeport("down")
        assert not state.root.exists()
        assert marked_processes(state) == []
        assert [stat for stat in home.rglob("*") if stat.is_file()] == []


def network(state):
    """Make a network in the region's range; return a client of EC2 and two subnets."""
    run = access.running(state)
    ec2 = access.client("ec2", access.settings(run, access.read_keys(state)))
    vpc = ec2.create_vpc(CidrBlock=run.network)["Vpc"]["VpcId"]
    blocks = {zone: run.network.replace("0.0/16", f"{third}.0/20") for zone, third in (("a", 0), ("b", 16))}
    return ec2, [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"eu-central-1{zone}")["Subnet"]["SubnetId"]
        for zone, block in blocks.items()
    ]


def balancer(state, port):
    """Make a load balancer with boto3 and return its DNS name."""
    _, subnets = network(state)
    elbv2 = access.client("elbv2", access.settings(access.running(state), access.read_keys(state)))
    (made,) = elbv2.create_load_balancer(Name="public", Subnets=subnets)["LoadBalancers"]
    elbv2.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "fixed"}}
        ],
    )
    return made["DNSName"]


def answer(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.read()
    except OSError:
        return None
