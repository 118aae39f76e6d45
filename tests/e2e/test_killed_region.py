"""The region's process is gone: what it started goes on serving, and is found again to the last process."""

import os
import signal
import subprocess
import urllib.request

import pytest

from homeport.region import access, daemon
from homeport.region.journal import Journal
from homeport.system import hosts, processes
from homeport.system.addresses import ensure_free
from tests.fleets import HOMEPORT, free_port, marked_processes, run, state_folder, wait
from tests.region.autoscaling.conftest import USER_DATA, Account

SPEED = "20"


@pytest.fixture
def state():
    with state_folder() as folder:
        yield folder


def start(state, port=None):
    return run(HOMEPORT, "region", "up", "--state", state.root, "--port", str(port or free_port()), "--speed", SPEED)


def kill(state, number=signal.SIGKILL):
    region = daemon.alive(state)
    os.kill(region.pid, number)
    wait("the region has ended", lambda: daemon.alive(state) is None)
    return region


def serve(account, port, size=2):
    """Make a group behind a load balancer with boto3; return the balancer's DNS name once it answers."""
    (target_group,) = account.elbv2.create_target_group(
        Name="served",
        Protocol="HTTP",
        Port=8101,
        VpcId=account.vpc,
        HealthCheckPath="/readyz",
        HealthCheckIntervalSeconds=5,
        HealthyThresholdCount=2,
    )["TargetGroups"]
    (balancer,) = account.elbv2.create_load_balancer(Name="served", Subnets=account.subnets)["LoadBalancers"]
    account.elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group["TargetGroupArn"]}],
    )
    account.create("served", size, TargetGroupARNs=[target_group["TargetGroupArn"]])
    account.settled("served", size)

    def healthy():
        found = account.elbv2.describe_target_health(TargetGroupArn=target_group["TargetGroupArn"])
        states = [target["TargetHealth"]["State"] for target in found["TargetHealthDescriptions"]]
        return states == ["healthy"] * size

    wait("healthy targets", healthy, 60)
    return balancer["DNSName"]


def get(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.status


def machines(state):
    return [entry for entry in Journal(state.journal).entries() if entry.kind != "region"]


def gone(pid):
    return processes.start_time(pid) is None


def clean(state, *regions):
    """Check that nothing is left: process, name, port, file."""
    assert marked_processes(state) == []
    for region in regions:
        assert processes.find_marked((processes.REGION_MARK, region.region_id)) == []
        assert hosts.names(region.region_id) == {}
        ensure_free("127.0.0.1", region.api_port)
    assert not state.root.exists()


def test_what_a_killed_region_started_serves_on_and_is_swept(state):
    start(state)
    listener = free_port()
    name = serve(Account(state), listener)
    url = f"http://{name}:{listener}/users/alice/balance"
    assert get(url) == 200
    first = kill(state)
    left = machines(state)
    assert sorted(entry.kind for entry in left) == ["balancer", "instance", "instance"]
    assert [get(url) for _ in range(20)] == [200] * 20

    done = run(HOMEPORT, "status", "--state", state.root, check=False)
    assert done.returncode == 1
    assert f"the region's process {first.pid} has ended" in done.stderr
    for entry in left:
        assert f"{entry.kind} {entry.id} at {entry.address}: goes on serving, process {entry.pid}" in done.stderr
    assert "make up" in done.stderr
    assert "make down" in done.stderr

    # Another region on the same folder says what it found, and starts fresh.
    done = start(state, first.api_port)
    assert "a region ran here and ended without cleaning up" in done.stdout
    for entry in left:
        assert f"{entry.kind} {entry.id} at {entry.address} (process {entry.pid}): ended" in done.stdout
        assert gone(entry.pid)
    assert hosts.names(first.region_id) == {}
    account = Account(state)
    assert account.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert account.elbv2.describe_load_balancers()["LoadBalancers"] == []

    # And the fresh one works, is killed as well, and nothing is left of either.
    name = serve(account, listener)
    second = kill(state)
    left = machines(state)
    assert get(f"http://{name}:{listener}/users/alice/balance") == 200
    done = run(HOMEPORT, "down", "--state", state.root)
    assert "nothing is left" in done.stdout
    for entry in left:
        assert f"{entry.kind} {entry.id} at {entry.address} (process {entry.pid}): ended" in done.stdout
    assert all(gone(entry.pid) for entry in left)
    clean(state, first, second)
    assert "nothing is left" in run(HOMEPORT, "down", "--state", state.root).stdout


def test_sigterm_ends_the_region_and_leaves_its_machines(state):
    start(state)
    account = Account(state)
    account.create("served", 1)
    account.settled("served", 1)
    region = kill(state, signal.SIGTERM)
    assert [entry.running for entry in machines(state)] == [True]
    assert "Traceback" not in state.region_log.read_text()
    run(HOMEPORT, "down", "--state", state.root)
    clean(state, region)


def test_killed_while_it_launches_instances(state):
    regions = []
    for launched in range(6):
        start(state)
        account = Account(state)
        account.create("served", 5)

        def enough(wanted=launched):
            return len(marked_processes(state)) - 1 >= wanted

        wait(f"{launched} of 5 machines are started", enough)
        regions.append(kill(state))
        assert len({entry.id for entry in machines(state)}) <= 5
        # The next round's region finds what this one left.
    run(HOMEPORT, "down", "--state", state.root)
    clean(state, *regions)


MOMENTS = {
    "the folder is there": lambda state: state.root.is_dir(),
    "the log is there": lambda state: state.region_log.exists(),
    "the process is there": marked_processes,
    "the folder is held": lambda state: state.lock.exists() and state.lock.read_text(),
    "the keys are there": lambda state: state.credentials.exists(),
    "the region is written down": lambda state: Journal(state.journal).entries("region"),
}


@pytest.mark.parametrize(
    ("whom", "moment"),
    [
        ("both", "the folder is there"),
        ("both", "the log is there"),
        ("both", "the region is written down"),
        ("the command", "the process is there"),
        ("the command", "the folder is held"),
        ("the command", "the region is written down"),
        ("the region", "the process is there"),
        ("the region", "the keys are there"),
    ],
)
def test_killed_while_it_starts(state, whom, moment):
    command = [HOMEPORT, "region", "up", "--state", state.root, "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait(moment, lambda: MOMENTS[moment](state) or process.poll() is not None)
        if whom != "the region":
            process.kill()
        if whom != "the command":
            for pid in marked_processes(state):
                os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=90)
    assert "Traceback" not in errors
    if whom == "the region" and process.returncode:
        assert "the region did not start" in errors
        assert marked_processes(state) == []
        assert not state.root.exists()
    again = start(state)
    assert "the region answers at" in again.stdout
    region = daemon.alive(state)
    assert marked_processes(state) == [region.pid]
    run(HOMEPORT, "down", "--state", state.root)
    clean(state, region)


def test_workers_die_with_their_killed_leader(state):
    start(state)
    account = Account(state)
    user_data = USER_DATA + "      HOMEPORT_PROCESSES=2\n"
    (instance,) = account.ec2.run_instances(
        ImageId=account.image, MinCount=1, MaxCount=1, SubnetId=account.subnets[0], UserData=user_data
    )["Instances"]
    url = f"http://{instance['PrivateIpAddress']}:8101/readyz"

    def ready():
        try:
            return get(url) == 200
        except OSError:
            return False

    wait("the instance is ready", ready)
    leader = account.machine(instance["InstanceId"]).pid
    assert len(wait("two workers", lambda: len(found := processes.session_members(leader)) >= 3 and found)) == 3
    os.kill(leader, signal.SIGKILL)
    wait("its workers end", lambda: processes.session_members(leader) == [], 10)
    wait("EC2 says so", lambda: account.state_of(instance["InstanceId"]) == "stopped", 10)
    assert access.running(state).pid == daemon.alive(state).pid
