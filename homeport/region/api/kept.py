"""What is in use of services that the region only keeps: it is not deleted there either.

Each class refuses what moto would delete, by the service's own code, from its API reference.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from homeport.region.api.errors import Refusal
from homeport.region.from_moto import private
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import ec2_backends
from homeport.region.from_moto.ecs import EC2ContainerServiceResponse
from homeport.region.from_moto.elbv2 import elbv2_backends
from homeport.region.from_moto.rds import RDSResponse
from homeport.region.from_moto.route53 import HostedZoneNotEmpty, Route53
from homeport.region.from_moto.server import replace_responses
from homeport.region.from_moto.servicediscovery import ServiceDiscoveryResponse
from homeport.region.from_moto.wafv2 import WAFV2Response


class HomeportECSResponse(EC2ContainerServiceResponse):
    """Clusters of Elastic Container Service."""

    def delete_cluster(self) -> ActionResult:
        """Delete a cluster without container instances, services and tasks."""
        cluster = private.cluster(self.ecs_backend, self._get_param("cluster")).name
        _refuse(
            self._container_instances(cluster),
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining",
        )
        _refuse(
            (
                one.name
                for one in self.ecs_backend.services.values()
                if one.cluster_name == cluster and one.status != "INACTIVE"
            ),
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active",
        )
        _refuse(
            (
                task.task_arn
                for task in self.ecs_backend.tasks.get(cluster, {}).values()
                if task.desired_status != "STOPPED"
            ),
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active",
        )
        return super().delete_cluster()

    def stop_task(self) -> ActionResult:
        """Stop a task; its network interface goes with it, which moto leaves in the subnet."""
        result = super().stop_task()
        answer: Any = result.result
        ec2 = ec2_backends[self.current_account][self.region]
        for attachment in answer["task"].attachments:
            for detail in attachment["details"]:
                if detail["name"] == "networkInterfaceId":
                    ec2.enis.pop(detail["value"], None)
        return result

    def _container_instances(self, cluster: str) -> Iterator[str]:
        """Name those whose instance is there: a terminated one leaves its cluster."""
        ec2 = ec2_backends[self.current_account][self.region]
        for one in self.ecs_backend.container_instances.get(cluster, {}).values():
            instance = ec2.get_instance_by_id(one.ec2_instance_id)
            if instance is not None and instance.state != "terminated":
                yield one.ec2_instance_id


class HomeportRDSResponse(RDSResponse):
    """Groups that databases are members of."""

    def delete_db_subnet_group(self) -> ActionResult:
        """Delete a subnet group without databases."""
        name = self._get_param("DBSubnetGroupName").lower()
        users = [
            one.db_instance_identifier
            for one in self.backend.databases.values()
            if getattr(one, "db_subnet_group", None) and one.db_subnet_group.name == name
        ]
        users += [one.db_cluster_identifier for one in self._clusters() if one.db_subnet_group_name == name]
        _refuse(
            users,
            "InvalidDBSubnetGroupStateFault",
            f"Cannot delete the subnet group '{name}' because at least one database instance is still using it",
        )
        return super().delete_db_subnet_group()

    def delete_db_parameter_group(self) -> ActionResult:
        """Delete a parameter group without databases."""
        name = self._get_param("DBParameterGroupName")
        users = [
            one.db_instance_identifier
            for one in self.backend.databases.values()
            if getattr(one, "db_parameter_group_name", None) == name
        ]
        _refuse(
            users,
            "InvalidDBParameterGroupState",
            f"One or more database instances are still members of this parameter group {name}, "
            "so the group cannot be deleted",
        )
        return super().delete_db_parameter_group()

    def delete_db_cluster_parameter_group(self) -> ActionResult:
        """Delete a cluster parameter group without clusters."""
        name = self._get_param("DBClusterParameterGroupName")
        users = [one.db_cluster_identifier for one in self._clusters() if one.parameter_group == name]
        _refuse(
            users,
            "InvalidDBParameterGroupState",
            f"One or more database clusters are still members of this parameter group {name}, "
            "so the group cannot be deleted",
        )
        return super().delete_db_cluster_parameter_group()

    def delete_option_group(self) -> ActionResult:
        """Delete an option group without databases."""
        name = self._get_param("OptionGroupName")
        users = [one.db_instance_identifier for one in self.backend.databases.values() if one.option_group_name == name]
        _refuse(
            users, "InvalidOptionGroupStateFault", f"The option group '{name}' cannot be deleted because it is in use"
        )
        return super().delete_option_group()

    def _clusters(self) -> Iterable[Any]:
        return self.backend.clusters.values()


class HomeportRoute53Response(Route53):
    """Hosted zones of Route 53."""

    def delete_hosted_zone(self) -> ActionResult:
        """Delete a zone that holds its own NS and SOA records only; moto takes any NS record for one of these."""
        zone = self.backend.get_hosted_zone(self._get_param("Id"))
        if any(record.name.rstrip(".") != zone.name.rstrip(".") for record in zone.rrsets):
            raise HostedZoneNotEmpty
        return super().delete_hosted_zone()

    def delete_reusable_delegation_set(self) -> Any:
        """Delete a delegation set that no zone has."""
        found = self._get_param("Id")
        users = [
            zone.name for zone in self.backend.zones.values() if zone.delegation_set and zone.delegation_set.id == found
        ]
        _refuse(users, "DelegationSetInUse", f"The delegation set {found} is used by hosted zones")
        return super().delete_reusable_delegation_set()


class HomeportServiceDiscoveryResponse(ServiceDiscoveryResponse):
    """Namespaces and services of Cloud Map."""

    def delete_namespace(self) -> str:
        """Delete a namespace without services."""
        found = json.loads(self.body).get("Id")
        users = [one.name for one in self.servicediscovery_backend.services.values() if one.namespace_id == found]
        _refuse(users, "ResourceInUse", f"Namespace {found} has associated services")
        return super().delete_namespace()

    def delete_service(self) -> str:
        """Delete a service without instances."""
        found = json.loads(self.body).get("Id")
        service = self.servicediscovery_backend.services.get(found)
        users = [one.instance_id for one in service.instances] if service else []
        _refuse(users, "ResourceInUse", f"Service {found} has registered instances")
        return super().delete_service()


class HomeportWAFV2Response(WAFV2Response):
    """Web ACLs, and what their rules name."""

    def delete_web_acl(self) -> Any:
        """Delete a web ACL that protects nothing."""
        balancers = elbv2_backends[self.current_account][self.region].load_balancers
        users = [
            resource
            for arn, acl in self.wafv2_backend.wacls.items()
            if arn.endswith(f"/{self._get_param('Id')}")
            for resource in acl.associated_resources
            # moto remembers load balancers that are gone.
            if ":loadbalancer/" not in resource or resource in balancers
        ]
        _refuse(users, *_ASSOCIATED)
        return super().delete_web_acl()

    def delete_ip_set(self) -> Any:
        """Delete an IP set that no rule names."""
        self._refuse_named(self.wafv2_backend.ip_sets)
        return super().delete_ip_set()

    def delete_regex_pattern_set(self) -> Any:
        """Delete a regex pattern set that no rule names."""
        self._refuse_named(self.wafv2_backend.regex_pattern_sets)
        return super().delete_regex_pattern_set()

    def delete_rule_group(self) -> Any:
        """Delete a rule group that no rule names."""
        self._refuse_named(self.wafv2_backend.rule_groups)
        return super().delete_rule_group()

    def _refuse_named(self, things: dict[str, Any]) -> None:
        found = [arn for arn in things if arn.endswith(f"/{self._get_param('Id')}")]
        holders: list[Any] = [*self.wafv2_backend.wacls.values(), *self.wafv2_backend.rule_groups.values()]
        users = [one.name for one in holders for arn in found if f'"{arn}"' in json.dumps(one.rules, default=vars)]
        _refuse(users, *_ASSOCIATED)


_ASSOCIATED = "WAFAssociatedItemException", "Your resource is being used by or associated with another resource"

RESPONSES = {
    "ecs": HomeportECSResponse,
    "rds": HomeportRDSResponse,
    "route53": HomeportRoute53Response,
    "servicediscovery": HomeportServiceDiscoveryResponse,
    "wafv2": HomeportWAFV2Response,
}
"""By moto's name for the service."""


def install() -> None:
    """Let moto answer with these classes; before the server starts."""
    for service, response in RESPONSES.items():
        replace_responses(service, response)


def _refuse(users: Iterable[str], code: str, sentence: str) -> None:
    if names := list(users):
        raise Refusal(code, f"{sentence}: {', '.join(names)}.")
