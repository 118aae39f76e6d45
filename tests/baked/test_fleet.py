"""A fleet whose instances boot from the baked image: what a user of `make up DRIVER=container` sees."""

import json
import subprocess

from tests.e2e.load import Load
from tests.fleets import HOMEPORT, ROOT, run, wait

SSH = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
PYTEST = ROOT / ".venv" / "bin" / "pytest"


def ssh(fleet, address, command, **options):
    key = fleet.state.private_key
    return run("ssh", *SSH, "-i", key, f"admin@{address}", command, **options)


def instance(fleet):
    return fleet.status()["instances"][0]


def image_of(fleet, instance_id):
    found = fleet.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return found["ImageId"]


def pointer(fleet):
    return fleet.client("ssm").get_parameter(Name="/homeport/local/image")["Parameter"]["Value"]


def replaced(fleet, instance_id):
    """Terminate one instance and return the id of the healthy one in its place."""
    before = {i["id"] for i in fleet.status()["instances"]}
    fleet.client("ec2").terminate_instances(InstanceIds=[instance_id])
    wait("the terminated instance gone", lambda: instance_id not in {i["id"] for i in fleet.status()["instances"]})
    after = {i["id"] for i in fleet.wait_healthy(3)["instances"]}
    return (after - before).pop()


def test_curl_gets_a_balance_by_the_balancer_s_own_name(whole_fleet):
    answer = run("curl", "-fsS", whole_fleet.url)
    assert json.loads(answer.stdout) == {"user": "alice", "tocos": 100}


def test_instances_run_the_image_that_the_pointer_names(whole_fleet):
    images = {image_of(whole_fleet, i["id"]) for i in whole_fleet.status()["instances"]}
    assert images == {pointer(whole_fleet)}


def test_user_data_was_executed_by_cloud_init_s_ec2_source(whole_fleet):
    address = instance(whole_fleet)["address"]
    status = json.loads(ssh(whole_fleet, address, "cloud-init status --format json --long").stdout)
    assert status["status"] == "done", status
    assert "ec2" in status["detail"].lower(), status
    settings = ssh(whole_fleet, address, "cat /etc/homeport/service.env").stdout
    assert "HOMEPORT_SERVICE=balance" in settings


def test_an_instance_knows_itself_by_metadata_with_a_token_alone(whole_fleet):
    one = instance(whole_fleet)
    base = "http://169.254.169.254/latest"
    without = f"curl -s -o /dev/null -w '%{{http_code}}' {base}/meta-data/instance-id"
    assert ssh(whole_fleet, one["address"], without).stdout == "401"
    token = f"$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token)"
    asked = f'curl -fsS -H "X-aws-ec2-metadata-token: {token}" {base}/meta-data/instance-id'
    assert ssh(whole_fleet, one["address"], asked).stdout == one["id"]


def test_the_suite_for_every_kind_of_host_passes_on_an_instance(whole_fleet, tmp_path):
    address = instance(whole_fleet)["address"]
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host {address}\n  User admin\n  IdentityFile {whole_fleet.state.private_key}\n"
        "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
    )
    # What a test runs may end with 255, which plain ssh:// takes for a lost connection. test_hygiene.py is about an
    # image that nothing has run on.
    host = [f"--hosts=safe-ssh://{address}", f"--ssh-config={config}", "--sudo"]
    suite = ["tests/infra", "--ignore=tests/infra/test_hygiene.py", "-p", "no:cacheprovider"]
    done = run(PYTEST, "-q", *suite, *host, timeout=300)
    assert " passed" in done.stdout.splitlines()[-1], done.stdout


def test_ansible_playbook_finds_the_instances_by_their_tags_and_changes_them(whole_fleet):
    changed = """-e '{"hardening_banner": "changed by a test\\n"}'"""
    site = f"cd {ROOT}/ansible && {ROOT}/.venv/bin/ansible-playbook -i inventory/aws_ec2.yml site.yml {changed}"
    whole_fleet.shell(site, timeout=900)
    instances = whole_fleet.status()["instances"]
    for one in instances:
        assert "changed by a test" in ssh(whole_fleet, one["address"], "cat /etc/issue.net").stdout
    again = whole_fleet.shell(f"{site} --limit {instances[0]['id']}", timeout=900).stdout
    assert "changed=0" in again, again[-2000:]


def test_a_killed_machine_is_replaced(whole_fleet):
    one = instance(whole_fleet)
    with Load(whole_fleet.url, rate=50) as load:
        load.wait_for(20)
        run("docker", "kill", f"homeport-{one['id']}")
        wait("another instance", lambda: one["id"] not in {i["id"] for i in whole_fleet.status()["instances"]})
        whole_fleet.wait_healthy(3)
    assert load.total > 20


def test_a_service_that_ends_is_started_again_on_its_machine(whole_fleet):
    one = instance(whole_fleet)
    ssh(whole_fleet, one["address"], "sudo systemctl kill --signal=SIGKILL homeport.service")
    url = f"http://{one['address']}:8101/healthz"
    wait(
        "the service again",
        lambda: subprocess.run(["curl", "-fsS", url], capture_output=True, check=False).returncode == 0,
    )
    assert one["id"] in {i["id"] for i in whole_fleet.wait_healthy(3)["instances"]}


def test_up_again_changes_nothing(whole_fleet):
    before = whole_fleet.status()
    whole_fleet.up()
    assert whole_fleet.status() == before


def test_packer_bakes_against_the_region_and_a_replaced_instance_comes_from_the_new_image(whole_fleet):
    old = pointer(whole_fleet)
    whole_fleet.homeport("image", "build", "--again", timeout=900)
    new = pointer(whole_fleet)
    assert new != old
    images = whole_fleet.client("ec2").describe_images(ImageIds=[new])["Images"]
    assert images[0]["State"] == "available"
    running = {i["id"] for i in whole_fleet.status()["instances"]}
    whole_fleet.up()
    assert {i["id"] for i in whole_fleet.status()["instances"]} == running
    fresh = replaced(whole_fleet, sorted(running)[0])
    assert image_of(whole_fleet, fresh) == new
    assert json.loads(run("curl", "-fsS", whole_fleet.url).stdout)["tocos"] == 100
    builders = whole_fleet.client("ec2").describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}]
    )["Reservations"]
    assert len([i for r in builders for i in r["Instances"]]) == 3, "Packer's own instance is gone"


def test_zz_a_killed_region_leaves_nothing_after_down(fleet):
    region = fleet.homeport("status", "--json")
    assert region.returncode == 0
    state = f"homeport.state={fleet.state.root.resolve()}"
    pid = json.loads(fleet.state.run_file.read_text())["pid"]
    run("kill", "-9", str(pid))
    assert run("docker", "ps", "-q", "--filter", f"label={state}").stdout.split()
    run(HOMEPORT, "down", "--state", fleet.state.root)
    assert not run("docker", "ps", "-aq", "--filter", f"label={state}").stdout.split()
    assert not run("docker", "network", "ls", "-q", "--filter", f"label={state}").stdout.split()
    assert not run("docker", "volume", "ls", "-q", "--filter", f"label={state}").stdout.split()
