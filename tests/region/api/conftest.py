"""EC2's API as a region answers it, over a driver that only notes what it is asked for."""

import importlib
import os
import threading
from functools import cache
from ipaddress import IPv4Network

import pytest
from making import Maker
from moto.backends import get_backend
from moto.core.base_backend import BackendDict

from homeport.errors import HomeportError
from homeport.region import access
from homeport.region.acm.api import HomeportACMResponse
from homeport.region.api import kept
from homeport.region.api.server import ApiServer
from homeport.region.backoff import Backoff
from homeport.region.clock import Clock
from homeport.region.ec2.api import ec2_response
from homeport.region.ec2.machines import Machines
from homeport.region.elbv2 import api as elbv2
from homeport.region.elbv2.registry import Registry
from homeport.region.from_moto.server import replace_responses
from homeport.region.haproxy.balancers import Balancers
from homeport.region.iam.api import iam_response
from homeport.region.machines.driver import Machine
from homeport.region.metadata.source import source
from homeport.system.ranges import Ranges


class FakeDriver:
    """Machines that are a line in a list; images take as long as the test wants."""

    name = "fake"

    def __init__(self):
        self.calls = []
        self.running = set()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.fault = None
        self.launch_fault = None
        self.stop_fault = None
        self.ended = {}
        self.on_end = None
        self.lock_was_held = False
        self.lock = None

    def asked(self, action):
        return [call[1:] for call in self.calls if call[0] == action]

    def _note(self, *call):
        self.calls.append(call)

    def _work(self, *call):
        assert self.may_go_on.wait(20)
        # Held by another thread is fine; for as long as an image takes is not.
        if not self.lock.acquire(timeout=5):
            self.lock_was_held = True
        else:
            self.lock.release()
        if self.fault:
            raise self.fault
        self._note(*call)

    def check(self, spec):
        pass

    def launch(self, spec):
        assert self.may_go_on.wait(20)
        if self.launch_fault:
            raise self.launch_fault
        self._note("launch", spec.instance_id, spec.image_id)
        self.running.add(spec.instance_id)
        return Machine(spec.instance_id, spec.address, 1, running=True)

    def stop(self, instance_id, *, grace):
        assert self.may_go_on.wait(20)
        self._note("stop", instance_id)
        if self.stop_fault:
            raise self.stop_fault
        self.running.discard(instance_id)

    def discard(self, instance_id):
        self._note("discard", instance_id)

    def describe(self, instance_id):
        return self.ended.get(instance_id)

    def end(self, instance_id, reason="powered off"):
        """Let a machine end by itself."""
        self.running.discard(instance_id)
        self.ended[instance_id] = Machine(instance_id, "", 0, running=False, exit_reason=reason)
        self.on_end(instance_id)

    def logs(self, instance_id, lines=20):
        return [f"the console of {instance_id}"]

    def create_image(self, instance_id, image_id):
        self._work("create_image", instance_id, image_id)

    def import_image(self, location, image_id):
        if location == "nothing/there:1":
            raise HomeportError(f"Docker has no image {location}")
        self._work("import_image", location, image_id)

    def remove_image(self, image_id):
        self._work("remove_image", image_id)

    def adopt(self):
        return []

    def on_exit(self, callback):
        self.on_end = callback

    def close(self):
        pass


class Account:
    """A region's API with its driver behind it, and what the tests ask again and again."""

    def __init__(self, driver, url, groups_with_role):
        self.driver = driver
        self.groups_with_role = groups_with_role
        settings = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": access.REGION_NAME,
        }
        self.client = cache(lambda service: access.client(service, settings))
        self.ec2 = self.client("ec2")

    @property
    def backend(self):
        return get_backend("ec2")["123456789012"][access.REGION_NAME]

    def run(self, image, **fields):
        made = self.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **fields)
        return made["Instances"][0]["InstanceId"]

    def instance(self, instance_id):
        (found,) = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
        return found

    def metadata(self, instance_id):
        """Return what the instance's metadata service would answer from."""
        instance = self.backend.get_instance(instance_id)
        return source(instance, self.driver.lock, None, lambda _: "").describe()

    def image(self, image_id):
        (found,) = self.ec2.describe_images(ImageIds=[image_id])["Images"]
        return found


RANGES = Ranges((IPv4Network("172.31.0.0/16"), IPv4Network("127.0.0.0/8")))
"""The default VPC, and what the tests make."""
SERVICES = ("acm", "ec2", "elb", "elbv2", "iam", *kept.RESPONSES)
"""Those whose answers are replaced."""


@pytest.fixture
def account(tmp_path):
    urls = [importlib.import_module(f"moto.{service}.urls") for service in SERVICES]
    before, presets = [one.url_paths for one in urls], os.environ.get("MOTO_EC2_LOAD_DEFAULT_AMIS")
    for backends in BackendDict._instances:
        backends.reset()
    driver = FakeDriver()
    server = ApiServer(0)
    driver.lock = server.gate.lock
    machines = Machines(
        driver,
        server.gate.lock,
        ranges=RANGES,
        environment=lambda _: {},
        attach=lambda _: None,
        detach=lambda _: None,
        backoff=Backoff(waits=[0.1]),
    )
    replace_responses("ec2", ec2_response(machines))
    groups_with_role = {}
    replace_responses("acm", HomeportACMResponse)
    replace_responses("iam", iam_response(lambda role: groups_with_role.get(role, [])))
    kept.install()
    clock = Clock(50)
    elbv2.install(
        elbv2.LoadBalancing(
            Registry(clock),
            Balancers(tmp_path / "balancers", clock),
            RANGES,
            dns_name_for=lambda name, number, _: f"{name}-{number}.elb.homeport.internal",
            publish=lambda name, address: None,
            withdraw=lambda name: None,
            # Nothing is balanced: these tests are of what the API answers.
            wake=lambda: None,
        )
    )
    server.start()
    try:
        yield Account(driver, server.url, groups_with_role)
    finally:
        driver.may_go_on.set()
        machines.close()
        server.close()
        for one, paths in zip(urls, before, strict=True):
            one.url_paths = paths
        os.environ.pop("MOTO_EC2_LOAD_DEFAULT_AMIS", None)
        if presets is not None:
            os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = presets
        for backends in BackendDict._instances:
            backends.reset()


@pytest.fixture
def base(account):
    """The id of an image that can be launched."""
    return account.ec2.register_image(Name="debian-12", RootDeviceName="/dev/xvda")["ImageId"]


@pytest.fixture
def make(account, base):
    """Makes things, each in one line."""
    return Maker(account, base)
