"""EC2's API for the options of an instance that are kept and given back, and have no effect on its machine."""

from typing import Any

from homeport.region.ec2 import launch_request
from homeport.region.ec2.attributes_api import check_stopped
from homeport.region.ec2.launched import PLACEMENT
from homeport.region.from_moto.core import ActionResult
from homeport.region.from_moto.ec2 import EC2Response


class OptionsResponse(EC2Response):
    """What a launch said may be said otherwise later."""

    def describe_instance_credit_specifications(self) -> ActionResult:
        """Tell the CPU credits of instances; without ids of those with unlimited credits, as EC2 does."""
        named = self._get_param("InstanceIds", [])
        instances = self.ec2_backend.get_multi_instances_by_id(named) if named else self.ec2_backend.all_instances()
        shown = [{"InstanceId": one.id} | one.credit_specification for one in instances]
        if not named:
            shown = [one for one in shown if one["CpuCredits"] == "unlimited"]
        return ActionResult({"InstanceCreditSpecifications": shown})

    def modify_instance_credit_specification(self) -> ActionResult:
        """Change the CPU credits of instances; each that cannot be changed says why, and the others are changed."""
        self.error_on_dryrun()
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for spec in self._get_param("InstanceCreditSpecifications", []):
            instance = self.ec2_backend.get_instance_by_id(spec["InstanceId"])
            why = ""
            if instance is None:
                why = "InvalidInstanceID.NotFound"
            elif spec.get("CpuCredits") not in ("standard", "unlimited"):
                why = "InstanceCreditSpecification.NotSupported"
            if why or instance is None:
                error = {"Code": why, "Message": f"The CPU credits of {spec['InstanceId']} cannot be changed."}
                failed.append({"InstanceId": spec["InstanceId"], "Error": error})
            else:
                instance.credit_specification = {"CpuCredits": spec["CpuCredits"]}
                done.append({"InstanceId": instance.id})
        return ActionResult(
            {"SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": failed}
        )

    def modify_instance_maintenance_options(self) -> ActionResult:
        """Change what happens when the hardware fails, which none does here."""
        changed = self._changed("maintenance_options", ("AutoRecovery", "RebootMigration"))
        return ActionResult({"InstanceId": self._get_param("InstanceId")} | changed)

    def modify_instance_network_performance_options(self) -> ActionResult:
        """Change how bandwidth is divided, which is not limited here."""
        check_stopped(self._instance())
        changed = self._changed("network_performance_options", ("BandwidthWeighting",))
        return ActionResult({"InstanceId": self._get_param("InstanceId")} | changed)

    def modify_instance_cpu_options(self) -> ActionResult:
        """Change the cores of a stopped instance, which its machine does not count."""
        check_stopped(self._instance())
        changed = self._changed("cpu_options", ("CoreCount", "ThreadsPerCore", "NestedVirtualization"))
        return ActionResult({"InstanceId": self._get_param("InstanceId")} | changed)

    def modify_private_dns_name_options(self) -> ActionResult:
        """Change what the name of a stopped instance is made of."""
        instance = self._instance()
        check_stopped(instance)
        names = ("EnableResourceNameDnsARecord", "EnableResourceNameDnsAAAARecord")
        kind = self._get_param("PrivateDnsHostnameType")
        launch_request.check_values({"PrivateDnsNameOptions": {"HostnameType": kind}})
        self._changed("private_dns_name_options", names)
        if kind:
            instance.private_dns_name_options = instance.private_dns_name_options | {"HostnameType": kind}
        return ActionResult({"Return": True})

    def modify_instance_capacity_reservation_attributes(self) -> ActionResult:
        """Change which reservations an instance may run in; there are none here."""
        self.error_on_dryrun()
        self._instance().capacity_reservation_specification = dict(self._get_param("CapacityReservationSpecification"))
        return ActionResult({"Return": True})

    def modify_instance_placement(self) -> ActionResult:
        """Change the placement of a stopped instance; all machines are on this one here."""
        instance = self._instance()
        check_stopped(instance)
        launch_request.check_values({"Placement": {"Tenancy": self._get_param("Tenancy")}})
        for name, field in PLACEMENT.items():
            if (value := self._get_param(name)) is not None:
                setattr(instance.placement, field, value)
        return ActionResult({"Return": True})

    def monitor_instances(self) -> ActionResult:  # type: ignore[override]  # moto's raises, and is no answer
        """Let an instance say that it is monitored closely."""
        return self._monitor("enabled")

    def unmonitor_instances(self) -> ActionResult:  # type: ignore[override]
        """Take that back."""
        return self._monitor("disabled")

    def _monitor(self, state: str) -> ActionResult:
        self.error_on_dryrun()
        instances = self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", []))
        for instance in instances:
            instance.monitoring_state = state
        during = {"enabled": "pending", "disabled": "disabling"}[state]
        shown = [{"InstanceId": one.id, "Monitoring": {"State": during}} for one in instances]
        return ActionResult({"InstanceMonitorings": shown})

    def _instance(self) -> Any:
        return self.ec2_backend.get_instance(self._get_param("InstanceId"))

    def _changed(self, field: str, names: tuple[str, ...]) -> dict[str, Any]:
        """Change the members that the request names of a structure that an instance keeps, and return all of it."""
        self.error_on_dryrun()
        instance = self._instance()
        given = {name: self._get_param(name) for name in names}
        said = {name: value for name, value in given.items() if value is not None}
        setattr(instance, field, getattr(instance, field) | said)
        kept: dict[str, Any] = getattr(instance, field)
        return kept
