"""Elastic Load Balancing's API where moto's answer is not enough: balancers and their targets' health are real."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from homeport.errors import HomeportError
from homeport.region.api.errors import Refusal
from homeport.region.elbv2 import target_health as target_states
from homeport.region.elbv2 import validation, view
from homeport.region.elbv2.registry import Registry
from homeport.region.from_moto.core import ActionResult, EmptyResult
from homeport.region.from_moto.elbv2 import (
    DuplicateListenerError,
    ELBClientError,
    ELBv2Backend,
    ELBV2Response,
    FakeListener,
    FakeLoadBalancer,
    FakeRule,
    FakeTargetGroup,
    ListenerNotFoundError,
    LoadBalancerNotFoundError,
    TargetGroupNotFoundError,
)
from homeport.region.from_moto.server import answer_with
from homeport.region.haproxy.balancers import Balancers
from homeport.system.addresses import ensure_free, port_holder
from homeport.system.ranges import Ranges


@dataclass(frozen=True)
class LoadBalancing:
    """What the handlers need of the region; all callables are called with moto's lock held and must be quick."""

    registry: Registry
    balancers: Balancers
    ranges: Ranges
    """The addresses that load balancers may have."""
    dns_name_for: Callable[[str, str, str], str]
    """Returns the DNS name of a load balancer from its name, id and address."""
    publish: Callable[[str, str], None]
    """Makes a DNS name resolve to an address."""
    withdraw: Callable[[str], None]
    wake: Callable[[], None]
    """Makes what the API holds real, soon and elsewhere."""


def install(services: LoadBalancing) -> None:
    """Let moto answer with our class; before the server starts.

    Classic and application load balancers share a host name, and differ by the API version.
    """
    response = elbv2_response(services)

    def answer(request: Any, *arguments: Any) -> Any:
        # moto would give classic load balancers names of AWS's own, and make nothing real.
        if request.values.get("Version") != "2015-12-01":
            raise Refusal(
                "InvalidAction", "The region has application load balancers, of API version 2015-12-01, only."
            )
        return response.dispatch(request, *arguments)

    for service in ("elb", "elbv2"):
        answer_with(service, answer)


def elbv2_response(services: LoadBalancing) -> type[ELBV2Response]:
    """Return the response class whose load balancers are real."""
    registry = services.registry

    class HomeportELBV2Response(ELBV2Response):
        def call_action(self) -> Any:
            answer = super().call_action()
            if not self._get_action().startswith("Describe"):
                _note_use(self.elbv2_backend)
                services.wake()
            return answer

        def create_load_balancer(self) -> ActionResult:
            validation.check_load_balancer(self.elbv2_backend, self._get_params())
            validation.check_subnets(self.elbv2_backend, self._get_params(), services.ranges)
            result = super().create_load_balancer()
            answer: Any = result.result
            created: FakeLoadBalancer = answer["LoadBalancers"][0]
            try:
                address = registry.take_address(created)
                created.dns_name = services.dns_name_for(created.name, created.arn.rpartition("/")[2], address)
                with validation.refused("InvalidConfigurationRequest"):
                    services.publish(created.dns_name, address)
            except ELBClientError:
                self.elbv2_backend.delete_load_balancer(created.arn)
                registry.free_address(created)
                raise
            created.activate()
            return result

        def describe_load_balancers(self) -> ActionResult:
            """Describe load balancers; one of which a part cannot be had is ``active_impaired``, with the reason."""
            result = super().describe_load_balancers()
            answer: Any = result.result
            faults = services.balancers.faults()
            shown = [_impaired(one, faults[one.arn]) if one.arn in faults else one for one in answer["LoadBalancers"]]
            return ActionResult(answer | {"LoadBalancers": shown})

        def set_subnets(self) -> ActionResult:
            """Change where a load balancer would have nodes; the one that it has here stays where it is."""
            validation.check_subnets(self.elbv2_backend, self._get_params(), services.ranges)
            return super().set_subnets()

        def modify_load_balancer_attributes(self) -> ActionResult:
            validation.check_attributes({one["Key"]: one["Value"] for one in self._get_param("Attributes", [])})
            return super().modify_load_balancer_attributes()

        def delete_load_balancer(self) -> ActionResult:
            found = self.elbv2_backend.load_balancers.get(self._get_param("LoadBalancerArn"))
            if found is None:
                return EmptyResult()  # as AWS answers
            if str(found.attrs.get(validation.PROTECTED)).lower() == "true":
                raise ELBClientError(
                    "OperationNotPermitted",
                    f"Load balancer '{found.arn}' cannot be deleted because deletion protection is enabled",
                )
            with validation.refused("InvalidConfigurationRequest"):
                services.withdraw(found.dns_name)
            registry.free_address(found)
            return super().delete_load_balancer()

        def create_listener(self) -> ActionResult:
            params = self._get_params()
            balancer = self._balancer(params["LoadBalancerArn"])
            port = int(params.get("Port", 0))
            validation.check_actions(params.get("DefaultActions", []))
            validation.check_certificates(self.elbv2_backend, params.get("Protocol"), params.get("Certificates", []))
            self._check_port(balancer, port)
            return super().create_listener()

        def modify_listener(self) -> ActionResult:
            params = self._get_params()
            listener = self._listener(params["ListenerArn"])
            validation.check_actions(params.get("DefaultActions", []))
            port = int(params.get("Port", listener.port))
            if port != int(listener.port):
                self._check_port(self._balancer(listener.load_balancer_arn), port)
            return super().modify_listener()

        def create_rule(self) -> ActionResult:
            params = self._get_params()
            validation.check_rule(params.get("Conditions", []), params.get("Actions", []))
            return super().create_rule()

        def modify_rule(self) -> ActionResult:
            params = self._get_params()
            validation.check_rule(params.get("Conditions", []), params.get("Actions", []))
            return super().modify_rule()

        def delete_rule(self) -> ActionResult:
            """Delete a rule that is not its listener's default one."""
            arn = self._get_param("RuleArn")
            if any(rule.arn == arn and rule.is_default for rule in self._rules()):
                raise ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be deleted")
            return super().delete_rule()

        def remove_listener_certificates(self) -> ActionResult:
            """Remove certificates that are not the listener's default one."""
            listener = self._listener(self._get_param("ListenerArn"))
            removed = [one["CertificateArn"] for one in self._get_param("Certificates", [])]
            if listener.certificate in removed:
                raise ELBClientError("OperationNotPermitted", "Default certificate cannot be removed")
            return super().remove_listener_certificates()

        def create_target_group(self) -> ActionResult:
            params = self._get_params()
            validation.check_kind(params)
            validation.check_limits(params)
            result = super().create_target_group()
            answer: Any = result.result
            group: FakeTargetGroup = answer["TargetGroups"][0]
            try:
                validation.check_group(group, registry)
            except ELBClientError:
                self.elbv2_backend.delete_target_group(group.arn)
                raise
            return result

        def modify_target_group(self) -> ActionResult:
            validation.check_limits(self._get_params())
            with self._unless_refused(self._group()):
                return super().modify_target_group()

        def modify_target_group_attributes(self) -> ActionResult:
            group = self._group()
            attributes = {one["Key"]: one["Value"] for one in self._get_param("Attributes", [])}
            validation.check_attributes(attributes)
            # moto refuses 3600 seconds of delay, which AWS takes, and answers with the changed ones alone.
            with self._unless_refused(group):
                delay = attributes.pop("deregistration_delay.timeout_seconds", None)
                self.elbv2_backend.modify_target_group_attributes(group.arn, attributes)
                if delay is not None:
                    group.attributes["deregistration_delay.timeout_seconds"] = int(delay)
            return ActionResult({"Attributes": group.attributes})

        def delete_target_group(self) -> ActionResult:
            result = super().delete_target_group()
            registry.targets.pop(self._get_param("TargetGroupArn"), None)
            return result

        def register_targets(self) -> ActionResult:
            group = self._group()
            targets = self._get_param("Targets", [])
            zones = [validation.check_target(group, target) for target in targets]
            for target, zone in zip(targets, zones, strict=True):
                registry.register(group.arn, target["Id"], int(target.get("Port") or group.port), zone)
            return EmptyResult()

        def deregister_targets(self) -> ActionResult:
            group = self._group()
            delay = int(str(group.attributes["deregistration_delay.timeout_seconds"]))
            for target in self._get_param("Targets", []):
                port = int(target["Port"]) if target.get("Port") else None
                registry.deregister(group.arn, target["Id"], port, delay if group.load_balancer_arns else 0)
            return EmptyResult()

        def describe_target_health(self) -> ActionResult:
            group = self._group()
            described = target_states.describe(
                self.elbv2_backend,
                group,
                registry,
                services.balancers.health(group.arn),
                self._get_param("Targets", []),
            )
            return ActionResult({"TargetHealthDescriptions": described})

        def _group(self) -> FakeTargetGroup:
            group = self.elbv2_backend.target_groups.get(self._get_param("TargetGroupArn"))
            if group is None:
                raise TargetGroupNotFoundError
            return group

        def _balancer(self, arn: str) -> FakeLoadBalancer:
            balancer = self.elbv2_backend.load_balancers.get(arn)
            if balancer is None:
                raise LoadBalancerNotFoundError
            return balancer

        def _listener(self, arn: str) -> FakeListener:
            for balancer in self.elbv2_backend.load_balancers.values():
                if arn in balancer.listeners:
                    return balancer.listeners[arn]
            raise ListenerNotFoundError

        def _rules(self) -> Iterator[FakeRule]:
            for balancer in self.elbv2_backend.load_balancers.values():
                for listener in balancer.listeners.values():
                    yield from listener.rules.values()

        def _check_port(self, balancer: FakeLoadBalancer, port: int) -> None:
            # moto looks for the port among ARNs and finds it never.
            if any(int(listener.port) == port for listener in balancer.listeners.values()):
                raise DuplicateListenerError
            if not 1 <= port <= 65535:
                raise ELBClientError("ValidationError", f"Port {port} is not between 1 and 65535")
            address = registry.addresses[balancer.arn]
            # A listener that was just deleted may still be there, for a moment.
            own = {pid for pids in services.balancers.pids().values() for pid in pids}
            try:
                ensure_free(address, port)
            except HomeportError as error:
                holder = port_holder(address, port)
                if holder is None or holder.pid not in own:
                    raise ELBClientError(
                        "InvalidConfigurationRequest",
                        f"The load balancer {balancer.name} cannot listen: {error.message}. {error.next_step}".strip(),
                    ) from error

        @contextmanager
        def _unless_refused(self, group: FakeTargetGroup) -> Iterator[None]:
            """Undo what was changed in a target group when it turns out that it cannot be made real."""
            before = {key: copy.deepcopy(value) for key, value in group.__dict__.items()}
            yield
            try:
                validation.check_group(group, registry)
            except ELBClientError:
                group.__dict__.update(before)
                raise

    return HomeportELBV2Response


class _Impaired(FakeLoadBalancer):
    reason: str

    @property
    def load_balancer_state(self) -> dict[str, str]:
        return {"Code": "active_impaired", "Reason": self.reason}


def _impaired(one: FakeLoadBalancer, fault: HomeportError) -> FakeLoadBalancer:
    shown: Any = copy.copy(one)
    shown.__class__ = _Impaired
    shown.reason = f"{fault.message}. {fault.next_step}".rstrip(". ")
    return cast("FakeLoadBalancer", shown)


def _note_use(backend: ELBv2Backend) -> None:
    """Tell the target groups which load balancers use them: moto only ever adds."""
    for group in backend.target_groups.values():
        group.load_balancer_arns = [
            one.arn for one in backend.load_balancers.values() if group.arn in view.target_groups_of(one)
        ]
