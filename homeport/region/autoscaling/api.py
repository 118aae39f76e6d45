"""Auto Scaling's API: moto parses and serializes it, the region's own model answers."""

from collections.abc import Callable
from typing import Any

from homeport.region.api.errors import Refusal
from homeport.region.autoscaling import attachments, groups, instances, policies, suspension, tags
from homeport.region.autoscaling.service import Service
from homeport.region.from_moto.autoscaling import AutoscalingClientError
from homeport.region.from_moto.core import ActionResult, BaseResponse

Operation = Callable[[Service, dict[str, Any]], dict[str, Any]]

OPERATIONS: dict[str, Operation] = {
    "".join(word.title() for word in operation.__name__.split("_")): operation
    for operation in (
        groups.create_auto_scaling_group,
        groups.update_auto_scaling_group,
        groups.delete_auto_scaling_group,
        groups.describe_auto_scaling_groups,
        groups.set_desired_capacity,
        suspension.suspend_processes,
        suspension.resume_processes,
        instances.describe_auto_scaling_instances,
        instances.describe_scaling_activities,
        instances.terminate_instance_in_auto_scaling_group,
        instances.set_instance_health,
        instances.set_instance_protection,
        attachments.attach_load_balancer_target_groups,
        attachments.detach_load_balancer_target_groups,
        attachments.describe_load_balancer_target_groups,
        attachments.attach_traffic_sources,
        attachments.detach_traffic_sources,
        attachments.describe_traffic_sources,
        attachments.enable_metrics_collection,
        attachments.disable_metrics_collection,
        tags.create_or_update_tags,
        tags.delete_tags,
        tags.describe_tags,
        policies.put_scaling_policy,
        policies.describe_policies,
        policies.delete_policy,
    )
}
"""Operation by the API's name for it. What is not here is answered with ``InvalidAction``."""

EMPTY: dict[str, dict[str, Any]] = {
    "DescribeLifecycleHooks": {"LifecycleHooks": []},
    "DescribeNotificationConfigurations": {"NotificationConfigurations": []},
    "DescribeLoadBalancers": {"LoadBalancers": []},
    "DescribeLaunchConfigurations": {"LaunchConfigurations": []},
    "DescribeScheduledActions": {"ScheduledUpdateGroupActions": []},
    "DescribeInstanceRefreshes": {"InstanceRefreshes": []},
    "DescribeWarmPool": {"Instances": []},
}
"""What tools list as a matter of course and nobody can have made here."""


def autoscaling_response(service_for: Callable[[str, str], Service], moto_lock: Any) -> type[BaseResponse]:
    """Return the response class that answers with ``service_for(account, region name)``.

    Operations ask other services, through the API: a thread that holds moto's lock would wait for itself.
    """

    class AutoScalingResponse(BaseResponse):
        def __init__(self) -> None:
            super().__init__(service_name="autoscaling")
            self.automated_parameter_parsing = True

        def call_action(self) -> Any:
            if moto_lock._is_owned():
                raise Refusal("IncompleteSignature", "Auto Scaling answers requests with a signature of its own alone.")
            action = self._get_action()
            operation = OPERATIONS.get(action)
            if operation is None and action not in EMPTY:
                raise Refusal("InvalidAction", f"The action {action} is not known to this region's Auto Scaling.")
            try:
                if operation is None:
                    return self.serialized(ActionResult(EMPTY[action]))
                service = service_for(self.current_account, self.region)
                return self.serialized(ActionResult(operation(service, dict(self.params))))
            except AutoscalingClientError as error:
                return self.serialized(ActionResult(error))

    return AutoScalingResponse
