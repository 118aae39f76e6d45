"""A region put together: the API, the machines, the balancers and the loops between them."""

import logging
import os
import secrets

from homeport import __version__
from homeport.errors import HomeportError
from homeport.region import access
from homeport.region.acm.api import HomeportACMResponse
from homeport.region.api import kept
from homeport.region.api.calls import Call
from homeport.region.api.server import ApiServer
from homeport.region.autoscaling.api import autoscaling_response
from homeport.region.autoscaling.calls import Calls
from homeport.region.autoscaling.controller import Controller
from homeport.region.autoscaling.groups import service_role
from homeport.region.autoscaling.lifecycle import STATES
from homeport.region.autoscaling.service import Service
from homeport.region.clock import Clock
from homeport.region.cloudwatch.api import HomeportCloudWatchResponse
from homeport.region.daemon import Options
from homeport.region.ec2 import default_vpc
from homeport.region.ec2.api import ec2_response
from homeport.region.ec2.machines import Machines
from homeport.region.elbv2.api import LoadBalancing, install
from homeport.region.elbv2.loop import BalancerRecords, Balancing, Targets
from homeport.region.elbv2.registry import Registry
from homeport.region.from_moto.autoscaling import AutoscalingClientError
from homeport.region.from_moto.ec2 import Instance
from homeport.region.from_moto.server import replace_responses
from homeport.region.haproxy.balancers import Balancers
from homeport.region.iam.api import iam_response
from homeport.region.journal import Entry, Journal
from homeport.region.machines import ground
from homeport.region.metadata.server import MetadataService
from homeport.region.metadata.source import source
from homeport.region.state import Run, StateFolder
from homeport.system import hosts, processes
from homeport.system.addresses import ensure_free

logger = logging.getLogger(__name__)

ACCOUNT = "123456789012"
"""The account that moto gives every caller."""
DOMAIN = "elb.homeport.internal"
"""No real name, and no ``localhost``: curl would send that to 127.0.0.1 whatever the hosts file says."""


class Region:
    """One region on one state folder; ``start`` answers once it returns, ``close`` leaves the machines running."""

    def __init__(self, state: StateFolder, options: Options) -> None:
        self._state = state
        ensure_free("127.0.0.1", options.api_port)
        self._id = secrets.token_hex(4)
        self._ground = ground.prepare(options.driver, state, self._id)
        self._journal = Journal(state.journal)
        self._keys = access.make_keys(state)
        self._clock = Clock(options.speed)
        self._api = ApiServer(options.api_port, after=[self._after], also=self._ground.api_addresses())
        self._run = Run(
            pid=os.getpid(),
            start_time=processes.start_time(os.getpid()) or 0,
            region_id=self._id,
            api_port=self._api.port,
            network=str(self._ground.network),
            speed=options.speed,
            version=__version__,
            repository=str(options.repository),
            driver=options.driver,
        )
        self._reach = access.settings(self._run, self._keys)
        self._sts = access.client("sts", self._reach)
        self._metadata = MetadataService()
        self._ground.serve_metadata(self._metadata)
        self._balancer_addresses: dict[str, str] = {}
        self._balancers = Balancers(
            state.balancers,
            self._clock,
            environment=processes.marks(self._id, state.root),
            records=BalancerRecords(self._journal),
            on_change=self._changed,
        )
        self._registry = Registry(self._clock)
        self._balancing = Balancing(self._registry, self._balancers, self._api.gate.lock)
        self._machines = Machines(
            self._ground.driver,
            self._api.gate.lock,
            ranges=self._ground.ranges,
            environment=self._environment,
            attach=self._attach,
            detach=self._detach,
        )
        self._groups = Service(
            ACCOUNT,
            access.REGION_NAME,
            access.client("ec2", self._reach),
            access.client("elbv2", self._reach),
            self._clock,
        )
        self._controller = Controller(
            self._groups, Calls(self._groups.ec2, self._groups.elbv2), self._machines, Targets(self._balancers)
        )
        self._machines.on_change = self._changed
        if self._ground.default_vpc:
            default_vpc.move(ACCOUNT, access.REGION_NAME, self._ground.default_vpc)
        replace_responses("autoscaling", autoscaling_response(self._service_for, self._api.gate.lock))
        replace_responses("cloudwatch", HomeportCloudWatchResponse)
        replace_responses("ec2", ec2_response(self._machines))
        replace_responses("acm", HomeportACMResponse)
        replace_responses("iam", iam_response(self._groups_with_role))
        kept.install()
        install(
            LoadBalancing(
                registry=self._registry,
                balancers=self._balancers,
                ranges=self._ground.ranges,
                dns_name_for=_dns_name,
                publish=self._publish,
                withdraw=self._withdraw,
                wake=self._balancing.wake,
            )
        )

    def start(self) -> None:
        """Answer the API and start the loops."""
        self._journal.record(Entry("region", self._id, "127.0.0.1", self._run.pid, self._run.start_time))
        self._api.start()
        self._balancing.start()
        self._controller.start()
        # Last: whoever reads it may use the region.
        self._state.write_run(self._run)
        logger.info("region %s answers on port %d, range %s", self._id, self._api.port, self._ground.network)

    def close(self) -> None:
        """Stop deciding and answering."""
        self._controller.close()
        self._machines.close()
        self._balancing.close()
        self._api.close()
        self._metadata.close()
        self._ground.close()

    def _changed(self) -> None:
        """Something happened that groups or balancers may want to answer to."""
        self._controller.wake()

    def _publish(self, name: str, address: str) -> None:
        self._ground.add_address(address)
        if name != address:
            try:
                hosts.publish(self._id, name, address)
            except HomeportError:
                self._ground.remove_address(address)
                raise
        self._balancer_addresses[name] = address

    def _withdraw(self, name: str) -> None:
        if name.endswith(DOMAIN):
            hosts.withdraw(self._id, name)
        if address := self._balancer_addresses.pop(name, ""):
            self._ground.remove_address(address)

    def _after(self, call: Call, status: int) -> None:
        if status >= 400:
            logger.info("%r %r by %r: %d", call.service, call.action, call.access_key_id, status)

    def _service_for(self, account: str, region_name: str) -> Service:
        if (account, region_name) != (ACCOUNT, access.REGION_NAME):
            raise AutoscalingClientError(
                "ValidationError",
                f"Auto Scaling works in {access.REGION_NAME} of account {ACCOUNT} here, not in {region_name}",
            )
        return self._groups

    def _environment(self, instance: Instance) -> dict[str, str]:
        return self._ground.environment(str(instance.private_ip_address), self._api.port)

    def _attach(self, instance: Instance) -> None:
        self._ground.ranges.check(str(instance.private_ip_address), f"the metadata service of {instance.id}")
        self._metadata.start(
            str(instance.private_ip_address), source(instance, self._api.gate.lock, self._sts, self._lifecycle)
        )

    def _detach(self, instance: Instance) -> None:
        self._metadata.stop(str(instance.private_ip_address))

    def _groups_with_role(self, role_arn: str) -> list[str]:
        with self._groups.lock:
            return [group.arn for group in self._groups.model.groups.values() if service_role(group) == role_arn]

    def _lifecycle(self, instance_id: str) -> str:
        with self._groups.lock:
            for group in self._groups.model.groups.values():
                if instance := group.instances.get(instance_id):
                    return STATES[instance.lifecycle].target
        return ""


def _dns_name(name: str, balancer_id: str, address: str) -> str:
    """Return a balancer's name; without the right to write the hosts file its address itself."""
    return f"{name}-{balancer_id}.{access.REGION_NAME}.{DOMAIN}".lower() if hosts.can_write() else address
