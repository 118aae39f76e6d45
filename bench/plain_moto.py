"""moto's own server, as it comes, and the platform applied to it: what the region is compared with."""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.commands import BIN, CommandError, background, run
from bench.session import Session, free_port
from homeport.images.register import pointer
from homeport.local import rehearsal
from homeport.region import access
from homeport.terraform import Terraform, find_terraform

_START_SECONDS = 60.0


class Server(NamedTuple):
    """A running server, and how tools reach it."""

    reach: dict[str, str]
    start_seconds: float


@contextlib.contextmanager
def server(session: Session) -> Iterator[Server]:
    """Run ``python -m moto.server`` until the block ends."""
    port = free_port()
    endpoint = access.endpoint(port)
    reach = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": access.REGION_NAME,
        "AWS_DEFAULT_REGION": access.REGION_NAME,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    began = time.monotonic()
    command = [str(BIN / "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with background(command, session.root / "moto.log") as process:
        sts = access.client("sts", reach)
        while True:
            with contextlib.suppress(Exception):
                sts.get_caller_identity()
                break
            if process.poll() is not None or time.monotonic() > began + _START_SECONDS:
                raise CommandError("moto's own server did not start")
            time.sleep(0.05)
        yield Server(reach, time.monotonic() - began)


def apply(session: Session, repository: Path) -> dict[str, float]:
    """Apply the platform to plain moto; return the seconds of the steps that ``homeport up`` has too."""
    root = repository / "terraform"
    with server(session) as (reach, start):
        terraform = Terraform(
            root=root / "platform",
            environments=root / "environments",
            environment=rehearsal.ENVIRONMENT,
            data=session.folder("moto-terraform"),
            settings=reach,
            variables={"vpc_cidr": "10.64.0.0/16"},
            by_hand="python -m bench",
        )
        environment = terraform.environment_variables()
        backend = terraform.environments / f"{terraform.environment}.s3.tfbackend"
        bucket = re.findall(r'^bucket\s*=\s*"(.+)"', backend.read_text(), re.MULTILINE)[0]
        began = time.monotonic()
        access.client("s3", reach).create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": access.REGION_NAME}
        )
        init = ["init", "-input=false", "-lockfile=readonly"]
        run([find_terraform(), *init], folder=terraform.root, environment=environment)
        prepared = time.monotonic()
        image = access.client("ec2", reach).register_image(Name="plain", RootDeviceName="/dev/xvda")["ImageId"]
        access.client("ssm", reach).put_parameter(Name=pointer(terraform.environment), Value=image, Type="String")
        registered = time.monotonic()
        arguments = ["apply", "-auto-approve", "-input=false", "-no-color"]
        run([find_terraform(), *arguments], folder=terraform.root, environment=environment)
        applied = time.monotonic()
    return {
        "start": start,
        "prepare": prepared - began,
        "image": registered - prepared,
        "apply": applied - registered,
    }
