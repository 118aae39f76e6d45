"""What a user sees of a fleet that is up, and after each thing that goes wrong with it."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

from homeport.region import access
from homeport.region.journal import Journal
from homeport.system import processes
from tests.fleets import HOMEPORT, ROOT, run, wait

from .load import Load


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def kill_group(pid):
    os.killpg(pid, signal.SIGKILL)


def dead(pid):
    stat = processes.read_stat(pid)
    return stat is None or stat.ended


def test_curl_gets_a_balance_by_the_balancer_s_own_name(whole_fleet):
    answer = run("curl", "-fsS", whole_fleet.url)
    assert json.loads(answer.stdout) == {"user": "alice", "tocos": 100}
    if os.geteuid() == 0:
        assert re.search(
            r"^http://homeport-local-\w+\.[a-z0-9-]+\.elb\.homeport\.internal:8080$", whole_fleet.status()["url"]
        )


def test_three_instances_in_three_zones_all_get_requests(whole_fleet):
    instances = whole_fleet.status()["instances"]
    assert len({i["zone"] for i in instances}) == 3
    assert len({i["address"] for i in instances}) == 3
    with Load(whole_fleet.url, rate=100) as load:
        load.wait_for(60)
    assert load.failed == 0
    for instance in instances:
        metrics = urllib.request.urlopen(f"http://{instance['address']}:8101/metrics", timeout=10).read().decode()
        counted = re.findall(
            r'_total\{[^}]*route="/users/\{user\}/balance"[^}]*status="200"[^}]*\} ([0-9.e+]+)', metrics
        )
        assert counted, metrics[:2000]
        assert sum(float(value) for value in counted) > 5


def test_up_again_changes_nothing(whole_fleet):
    before = whole_fleet.status()
    region = access.running(whole_fleet.state)
    whole_fleet.up()
    assert whole_fleet.status() == before
    assert access.running(whole_fleet.state) == region
    assert "0 added, 0 changed, 0 destroyed" in (whole_fleet.state.terraform / "apply.log").read_text()


def test_a_plan_by_hand_is_empty(whole_fleet):
    plan = whole_fleet.terraform("plan", "-detailed-exitcode", "-no-color", "-input=false", check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr


def test_the_aws_cli_works_unchanged(whole_fleet):
    groups = json.loads(whole_fleet.shell("aws elbv2 describe-target-groups --output json").stdout)["TargetGroups"]
    arn = groups[0]["TargetGroupArn"]
    health = json.loads(
        whole_fleet.shell(f"aws elbv2 describe-target-health --target-group-arn {arn} --output json").stdout
    )
    assert [t["TargetHealth"]["State"] for t in health["TargetHealthDescriptions"]] == ["healthy"] * 3
    activities = json.loads(whole_fleet.shell("aws autoscaling describe-scaling-activities --output json").stdout)
    assert activities["Activities"][0]["StatusCode"] == "Successful"


def test_a_killed_instance_is_replaced_and_requests_go_on(whole_fleet):
    before = whole_fleet.status()
    victim = before["instances"][0]
    with Load(whole_fleet.url, rate=100) as load:
        load.wait_for(20)
        kill_group(victim["pid"])
        # Its own zone is the emptiest then.
        after = wait(
            "a replacement",
            lambda: (s := whole_fleet.status())["healthy"] == 3 and victim["id"] not in str(s) and s,
            60,
        )
        load.wait_for(100)
    assert {i["zone"] for i in after["instances"]} == {i["zone"] for i in before["instances"]}
    # Only what the victim was answering when it died may have failed.
    assert load.failed <= 10, (load.results, load.first_failures)
    activities = whole_fleet.client("autoscaling").describe_scaling_activities()["Activities"]
    ended = next(
        a for a in activities if victim["id"] in a["Description"] and a["Description"].startswith("Terminating")
    )
    assert "taken out of service in response to an EC2 health check" in ended["Cause"]
    assert "signal 9" in ended["Cause"]
    assert ended["StatusCode"] == "Successful"


def test_all_instances_killed_at_once_come_back(whole_fleet):
    before = whole_fleet.status()
    for instance in before["instances"]:
        kill_group(instance["pid"])
    dead_ids = {i["id"] for i in before["instances"]}

    def replaced():
        # They may be back sooner than anybody could see them missing.
        now = whole_fleet.status()
        return now["healthy"] == 3 and not dead_ids & {i["id"] for i in now["instances"]}

    wait("three others, all healthy", replaced, 60)
    assert get(whole_fleet.url)["tocos"] == 100


def test_a_hung_instance_fails_its_checks_and_is_replaced(whole_fleet):
    victim = whole_fleet.status()["instances"][0]
    os.killpg(victim["pid"], signal.SIGSTOP)
    wait("a replacement", lambda: (s := whole_fleet.status())["healthy"] == 3 and victim["id"] not in str(s), 120)
    assert dead(victim["pid"])
    activities = whole_fleet.client("autoscaling").describe_scaling_activities()["Activities"]
    assert any(victim["id"] in a["Description"] and "ELB system health check failure" in a["Cause"] for a in activities)


def test_a_killed_haproxy_is_back_at_once(whole_fleet):
    (balancer,) = Journal(whole_fleet.state.journal).entries("balancer")
    os.kill(balancer.pid, signal.SIGKILL)
    url = whole_fleet.url

    def answers():
        try:
            return get(url)
        except OSError:
            return None

    wait("the balancer answers again", answers, 10)
    (again,) = Journal(whole_fleet.state.journal).entries("balancer")
    assert again.pid != balancer.pid
    whole_fleet.wait_healthy(3)


def test_terraform_scales_out_and_in_without_a_failed_request(whole_fleet):
    with Load(whole_fleet.url, rate=200) as load:
        load.wait_for(100)
        whole_fleet.terraform("apply", "-auto-approve", "-input=false", "-var=capacity={balance={min=5,max=6}}")
        whole_fleet.wait_healthy(5, 120)
        load.wait_for(200)
        whole_fleet.terraform("apply", "-auto-approve", "-input=false", "-var=capacity={balance={min=2,max=2}}")
        whole_fleet.wait_healthy(2, 120)
        load.wait_for(200)
        whole_fleet.terraform("apply", "-auto-approve", "-input=false")
        whole_fleet.wait_healthy(3, 120)
        load.wait_for(200)
    assert load.failed == 0, (load.results, load.first_failures)
    assert load.total > 1000
    zones = [i["zone"] for i in whole_fleet.status()["instances"]]
    assert len(set(zones)) == 3


def test_a_saved_plan_is_applied_as_it_was_made(whole_fleet, tmp_path):
    # A value that the environment's file gives differently.
    whole_fleet.terraform("plan", "-var=instance_warmup=11", f"-out={tmp_path}/saved")
    applied = whole_fleet.terraform("apply", "-no-color", f"{tmp_path}/saved")
    assert "0 added, 1 changed, 0 destroyed" in applied.stdout
    groups = whole_fleet.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert [group["DefaultInstanceWarmup"] for group in groups] == [11]
    whole_fleet.terraform("apply", "-auto-approve", "-input=false")


def test_region_logs_hold_no_traceback_and_no_secret(whole_fleet):
    log = whole_fleet.state.region_log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
    assert access.read_keys(whole_fleet.state).secret_access_key not in log


def test_instances_run_unprivileged_and_without_the_administrator_s_keys(whole_fleet):
    secret = access.read_keys(whole_fleet.state).secret_access_key
    for instance in whole_fleet.status()["instances"]:
        process = Path("/proc") / str(instance["pid"])
        environment = (process / "environ").read_text()
        assert secret not in environment
        assert "AWS_SECRET_ACCESS_KEY" not in environment
        if os.geteuid() == 0:
            assert process.stat().st_uid != 0
    assert (whole_fleet.state.credentials.stat().st_mode & 0o777) == 0o600


def test_an_instance_gets_its_role_s_credentials_from_its_metadata_service(whole_fleet):
    address = whole_fleet.status()["instances"][0]["address"]
    script = (
        "import botocore.session; s = botocore.session.get_session();"
        "c = s.get_credentials().get_frozen_credentials();"
        "print(s.create_client('sts', region_name='eu-central-1').get_caller_identity()['Arn'])"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}:1338",
        "AWS_ENDPOINT_URL": access.endpoint(whole_fleet.port),
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    arn = run(str(ROOT / ".venv" / "bin" / "python"), "-c", script, env=environment).stdout
    assert ":assumed-role/homeport-local-balance" in arn


def test_a_second_region_beside_it_disturbs_nothing(whole_fleet, tmp_path_factory):
    from tests.fleets import free_port, state_folder

    before = whole_fleet.status()
    with state_folder() as other, Load(whole_fleet.url, rate=50) as load:
        run(HOMEPORT, "region", "up", "--state", str(other.root), "--port", str(free_port()))
        assert access.running(other).network != access.running(whole_fleet.state).network
        reach = access.settings(access.running(other), access.read_keys(other))
        assert access.client("autoscaling", reach).describe_auto_scaling_groups()["AutoScalingGroups"] == []
        run(HOMEPORT, "down", "--state", str(other.root))
        load.wait_for(20)
    assert load.failed == 0
    assert whole_fleet.status() == before


def test_a_second_region_on_the_same_folder_is_refused(whole_fleet):
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [
        str(ROOT / ".venv" / "bin" / "python"),
        "-m",
        "homeport.region",
        str(whole_fleet.state.root),
        "1",
        "0",
        "1",
        "/",
        "process",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode != 0
    assert f"a region already runs on the state folder {whole_fleet.state.root}" in json.loads(done.stdout)["error"]
    assert whole_fleet.status()["healthy"] == 3


def test_zz_destroy_leaves_nothing_live(whole_fleet):
    """Last of this file: the fleet is gone afterwards."""
    before = {i["pid"] for i in whole_fleet.status()["instances"]}
    whole_fleet.terraform("destroy", "-auto-approve", "-input=false", timeout=600)
    ec2, elbv2, iam = (whole_fleet.client(name) for name in ("ec2", "elbv2", "iam"))
    alive = [
        i["InstanceId"]
        for r in ec2.describe_instances()["Reservations"]
        for i in r["Instances"]
        if i["State"]["Name"] != "terminated"
    ]
    assert alive == []
    assert whole_fleet.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert elbv2.describe_load_balancers()["LoadBalancers"] == []
    assert elbv2.describe_target_groups()["TargetGroups"] == []
    default_vpc = {v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"] if v["IsDefault"]}
    assert {v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"]} == default_vpc
    assert [n for n in ec2.describe_network_interfaces()["NetworkInterfaces"] if n["VpcId"] not in default_vpc] == []
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    assert [r["RoleName"] for r in iam.list_roles()["Roles"] if "homeport" in r["RoleName"]] == []
    assert whole_fleet.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert all(dead(pid) for pid in before)
    assert Journal(whole_fleet.state.journal).entries("balancer") == []
    assert Journal(whole_fleet.state.journal).entries("instance") == []
