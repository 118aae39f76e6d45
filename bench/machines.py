"""Machines that boot: sizes of images, how long a bake takes, boot to the first 200, and what Lynis thinks of it."""

import re
import time
import urllib.error
import urllib.request
from typing import Any

from bench.commands import HOMEPORT, ROOT, CommandError, run, say
from bench.report import Table, median_and_worst
from bench.session import Session, free_port
from homeport.images.machine import BASE, REPOSITORY
from homeport.region import access

BOOTS = 10
PORT = 8101
USER_DATA = f"""#cloud-config
write_files:
  - path: /etc/homeport/service.env
    content: |
      HOMEPORT_SERVICE=balance
      HOMEPORT_PORT={PORT}
"""
MEBI = 1024 * 1024


def measure(session: Session) -> list[Table]:
    """Bake in an empty region, then boot one machine after the other, and six at once."""
    state = session.state("machines")
    run([HOMEPORT, "region", "up", "--driver", "container", "--state", str(state.root), "--port", str(free_port())])
    ec2 = access.client("ec2", access.settings(access.running(state), access.read_keys(state)))
    build = [HOMEPORT, "image", "build", "--state", str(state.root)]
    say("have everything that a bake needs, and bake")
    image_id = run(build, timeout=1800).split()[-1]
    bakes, finds = [], []
    for _ in range(session.runs):
        bakes.append(_took(lambda: run([*build, "--again"], timeout=1800)))
        finds.append(_took(lambda: run(build)))
    image_id = run(build).split()[-1]
    say(f"{BOOTS} boots, one after the other, then six at once")
    single = [seconds for _ in range(BOOTS) for seconds in _boot(ec2, image_id, 1)]
    six = _boot(ec2, image_id, 6)
    session.stop(state)
    app = run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "homeport/app"]).split()[0]
    machine = run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY]).split()[0]
    sizes = [(name, f"{_size(name) / MEBI:.0f}") for name in (app, BASE, machine)]
    say("Lynis, twice")
    indexes = {name: _hardening(name) for name in (BASE, machine)}
    return [
        Table("Images, unpacked", ("image", "MiB"), tuple((name.partition(":")[0], size) for name, size in sizes)),
        Table(
            "Machines of the container driver, seconds",
            ("what", "median", "worst"),
            (
                ("bake with Packer and Ansible, against the region", *median_and_worst(bakes)),
                ("the same content again", *median_and_worst(finds)),
                ("RunInstances to the first 200", *median_and_worst(single)),
                ("six at once: to the first 200 of each", *median_and_worst(six)),
            ),
            f"Bakes: {session.runs}; boots, one after the other: {BOOTS}. The goal for a boot is 8 s.",
        ),
        Table("Lynis, hardening index", ("machine", "index"), tuple(indexes.items())),
    ]


def _boot(ec2: Any, image_id: str, count: int) -> list[float]:
    """Launch machines, wait until each has answered, terminate them; return the seconds of each since the call."""
    began = time.monotonic()
    launched = ec2.run_instances(
        ImageId=image_id, MinCount=count, MaxCount=count, InstanceType="t3.micro", UserData=USER_DATA
    )["Instances"]
    waiting = {one["InstanceId"]: one["PrivateIpAddress"] for one in launched}
    took = []
    while waiting:
        for instance_id, address in list(waiting.items()):
            if _answers(address):
                took.append(time.monotonic() - began)
                del waiting[instance_id]
        if time.monotonic() > began + 120:
            raise CommandError(f"no answer from {', '.join(waiting)} after 120 s")
        time.sleep(0.02)
    ids = [one["InstanceId"] for one in launched]
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return took


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{PORT}/users/alice/balance", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _took(action: Any) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _size(image: str) -> int:
    return int(run(["docker", "image", "inspect", "--format", "{{.Size}}", image]))


def _hardening(image: str) -> str:
    said = run([str(ROOT / "tests" / "infra" / "lynis"), image], timeout=900)
    found = re.search(r"^hardening index (\d+)$", said, re.MULTILINE)
    if found is None:
        raise CommandError(f"Lynis gave {image} no index:\n{said[-1000:]}")
    return found[1]
