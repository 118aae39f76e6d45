"""The environment ``local``: a region on this machine with the platform applied to it, and its end."""

import re
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from homeport.console import say, step
from homeport.errors import HomeportError
from homeport.local import baking, checks, status
from homeport.local.logins import make_key_pair
from homeport.local.versions import launch_from_newest
from homeport.local.work import at_the_end, at_work
from homeport.region import access, daemon
from homeport.region.access import Keys
from homeport.region.journal import Sweep
from homeport.region.state import Run, StateFolder
from homeport.system import addresses, processes
from homeport.terraform import Terraform

ENVIRONMENT = "local"
HEALTHY_SECONDS = 120.0
"""How long targets may take to become healthy after the apply; they take seconds."""


def platform(state: StateFolder, run: Run, keys: Keys) -> Terraform:
    """Return Terraform on the platform's root, set up for the region."""
    root = Path(run.repository) / "terraform"
    return Terraform(
        root=root / "platform",
        environments=root / "environments",
        environment=ENVIRONMENT,
        data=state.terraform,
        # The mark: should this command be killed, homeport down still finds its Terraform.
        settings=access.settings(run, keys) | {processes.STATE_MARK: str(state.root.resolve())},
        # Processes let nobody in.
        variables={"vpc_cidr": run.network} | ({"key_name": access.KEY_NAME} if run.driver == "container" else {}),
        by_hand=f"homeport terraform{state.option}",
    )


def up(state: StateFolder, options: daemon.Options, variables: Sequence[str] = ()) -> dict[str, float]:
    """Bring the whole fleet up and return each step's seconds; run again, it changes nothing."""
    timings: dict[str, float] = {}
    checks.check_programs(options.driver)
    with at_work(state):
        # Inside, because a port that another command has just taken is the lesser news.
        tfvars = options.repository / "terraform" / "environments" / f"{ENVIRONMENT}.tfvars"
        checks.check_platform(options.repository, tfvars, variables)
        _up(state, options, variables, timings=timings)
    return timings


def _up(state: StateFolder, options: daemon.Options, variables: Sequence[str], *, timings: dict[str, float]) -> None:
    if daemon.alive(state) is None:
        # Again in start_region; here before the image is baked.
        checks.check_region_ports(options.api_port)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Neither needs the other.
        preparing = pool.submit(baking.prepare, options.driver, options.repository, state, say)
        with step("start the region", timings):
            run = _start_region(state, options)
            say(f"API at {access.endpoint(run.api_port)}, range {run.network}, log {state.region_log}")
        keys = access.read_keys(state)
        reach = access.settings(run, keys)
        terraform = platform(state, run, keys)
        with step("prepare Terraform (init, state bucket)", timings):
            _make_state_bucket(reach, terraform.environments / f"{ENVIRONMENT}.s3.tfbackend")
            terraform.init(say)
        with step("bake and register the image", timings):
            preparing.result()
            say(baking.publish(run, reach, options.repository, state, environment=ENVIRONMENT, say=say))
            if run.driver == "container":
                say(f"its machines open with {make_key_pair(access.client('ec2', reach), state)}")
    with step("terraform apply (the AWS provider itself waits 60 s for a new load balancer)", timings):
        terraform.apply(say, [f"-var={variable}" for variable in variables])
        for moved in launch_from_newest(access.client("autoscaling", reach), access.client("ec2", reach)):
            say(moved)
    with step("wait until the targets are healthy", timings):
        wait_until_healthy(state)


def start_region(state: StateFolder, options: daemon.Options) -> Run:
    """Start a region, or return the one that runs; what a killed one left is stopped first, and said."""
    with at_work(state):
        return _start_region(state, options)


def _start_region(state: StateFolder, options: daemon.Options) -> Run:
    run = daemon.alive(state)
    if run is not None:
        if (run.speed, run.api_port, run.driver) != (options.speed, options.api_port, options.driver):
            say(
                f"it runs already, at speed {run.speed:g} on port {run.api_port} with driver {run.driver}: "
                "homeport down first to change that"
            )
        return run
    swept = daemon.stop(state)
    if swept.swept or swept.broken:
        say("a region ran here and ended without cleaning up; its API state is lost, so this one starts fresh")
        _report(swept)
    checks.check_region_ports(options.api_port)
    return daemon.start(state, options)


def stop_region(state: StateFolder) -> None:
    """Stop everything that a region of this state folder started, remove what it wrote, and say so."""
    with step("stop the region and its machines"), at_the_end(state):
        run = state.read_run()
        swept = daemon.stop(state)
        _report(swept)
        left_files = state.remove()
    holders = [addresses.port_holder("127.0.0.1", run.api_port)] if run else []
    remains = [f"process {pid}" for pid in swept.left] + [str(path) for path in left_files]
    remains += [str(holder) for holder in holders if holder]
    if remains:
        raise HomeportError(
            "not everything is gone: " + ", ".join(remains), next_step="look at what is named, then run it again"
        )
    say("nothing is left: no process, no port, no name in the hosts file, no file in the state folder")


def wait_until_healthy(state: StateFolder) -> None:
    """Wait until every service has its desired capacity healthy; raise with what the instances say."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    shown = ""
    while True:
        report = status.read(state)
        services = report["services"]
        now = ", ".join(f"{name}: {s['healthy']} of {s['desired']} healthy" for name, s in services.items())
        if now != shown:
            say(now)
            shown = now
        if all(service["healthy"] >= service["desired"] for service in services.values()):
            return
        if time.monotonic() > deadline:
            raise HomeportError(
                f"after {HEALTHY_SECONDS:.0f} s: {now}",
                log=status.consoles(state, report),
                next_step="homeport status; homeport region logs",
            )
        time.sleep(0.3)


def next_commands(state: StateFolder, report: dict[str, Any]) -> list[str]:
    """Return commands worth typing after ``up``."""
    homeport = "homeport" if shutil.which("homeport") else sys.argv[0]
    balance = report["services"].get("balance")
    first = [f"curl {balance['url']}/users/alice/balance"] if balance and balance["url"] else []
    instance = next((i for s in report["services"].values() for i in s["instances"]), None)
    return [
        *first,
        f"{homeport} status{state.option}",
        *(_commands_for(instance, report) if instance else []),
        f"{homeport} terraform{state.option} plan",
        f'eval "$({homeport} region env{state.option})" && aws autoscaling describe-scaling-activities --max-items 5',
        f"{homeport} down{state.option}" if state.option else "make down",
    ]


def _commands_for(instance: dict[str, Any], report: dict[str, Any]) -> list[str]:
    watch = "    # and watch the group replace it"
    if report["driver"] != "container":
        return [f"kill -9 -- -{instance['pid']}{watch}"]
    return [
        f"ssh -i {report['private_key']} -o StrictHostKeyChecking=accept-new admin@{instance['address']}",
        f"docker kill homeport-{instance['id']}{watch}",
    ]


def _make_state_bucket(reach: dict[str, str], backend: Path) -> None:
    """What terraform/bootstrap does in an account: Terraform's state needs a bucket before the first init."""
    bucket = re.findall(r'^bucket\s*=\s*"(.+)"', backend.read_text(), re.MULTILINE)[0]
    try:
        access.client("s3", reach).create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": reach["AWS_REGION"]}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def _report(swept: Sweep) -> None:
    for found in swept.swept:
        say(str(found))
    for path in swept.broken:
        say(f"unreadable journal entry removed: {path}")
