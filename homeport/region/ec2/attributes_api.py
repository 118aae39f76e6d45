"""EC2's API for the attributes of an instance: what each is called where, and when it may change."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeport.region.ec2.launch_api import check_user_data
from homeport.region.ec2.launched import default_cpu_options
from homeport.region.from_moto import private
from homeport.region.from_moto.core import ActionResult, Base64EncodedString, EmptyResult
from homeport.region.from_moto.ec2 import (
    INSTANCE_TYPES,
    EC2ClientError,
    EC2Response,
    Instance,
    InvalidParameterCombination,
    InvalidParameterValueErrorUnknownAttribute,
    InvalidSecurityGroupNotFoundError,
)


def _text(value: Any) -> str:
    return str(value)


def _flag(value: Any) -> bool:
    """Read a boolean, which is a word when it comes as the request's ``Value``."""
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{value}'. Valid values: true, false.")
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _shutdown_behavior(value: Any) -> str:
    if value not in ("stop", "terminate"):
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Invalid value '{value}' for instanceInitiatedShutdownBehavior. Valid values: stop, terminate.",
        )
    return str(value)


def _instance_type(value: Any) -> str:
    if value not in INSTANCE_TYPES:
        raise EC2ClientError("InvalidInstanceAttributeValue", f"The instance type '{value}' is not valid")
    return str(value)


def _user_data(value: Any) -> Base64EncodedString | None:
    """Read user-data: bytes when it comes as a field of its own, base64 when it comes as the request's ``Value``."""
    encoded = base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
    check_user_data(encoded)
    return Base64EncodedString(encoded) if encoded else None


@dataclass(frozen=True)
class Attribute:
    """One attribute: ``name`` as ``Attribute`` has it, ``field`` of moto's Instance, ``member`` of the answer."""

    name: str
    field: str
    member: str
    read: Callable[[Any], Any] = _text
    when_stopped: bool = False
    """Whether the instance must be stopped for a change."""


CHANGEABLE = {
    "DisableApiStop": Attribute("disableApiStop", "disable_api_stop", "DisableApiStop", _flag),
    "DisableApiTermination": Attribute(
        "disableApiTermination", "disable_api_termination", "DisableApiTermination", _flag
    ),
    "EbsOptimized": Attribute("ebsOptimized", "ebs_optimized", "EbsOptimized", _flag, when_stopped=True),
    "EnaSupport": Attribute("enaSupport", "ena_support", "EnaSupport", _flag, when_stopped=True),
    "InstanceInitiatedShutdownBehavior": Attribute(
        "instanceInitiatedShutdownBehavior",
        "instance_initiated_shutdown_behavior",
        "InstanceInitiatedShutdownBehavior",
        _shutdown_behavior,
    ),
    "InstanceType": Attribute("instanceType", "instance_type", "InstanceType", _instance_type, when_stopped=True),
    "Kernel": Attribute("kernel", "kernel", "KernelId", when_stopped=True),
    "Ramdisk": Attribute("ramdisk", "ramdisk", "RamdiskId", when_stopped=True),
    "SourceDestCheck": Attribute("sourceDestCheck", "source_dest_check", "SourceDestCheck", _flag),
    "SriovNetSupport": Attribute("sriovNetSupport", "sriov_net_support", "SriovNetSupport", when_stopped=True),
    "UserData": Attribute("userData", "user_data", "UserData", _user_data, when_stopped=True),
}
"""By the request's field."""
BY_NAME = {attribute.name: field for field, attribute in CHANGEABLE.items()}


class AttributesResponse(EC2Response):
    """Attributes are kept however they are set, and told as they are."""

    def modify_instance_attribute(self) -> ActionResult:
        """Change one attribute of an instance; what moto does not know of, it would take for its security groups."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        given = self._given()
        if not given:
            raise InvalidParameterCombination("No attributes specified.")
        if len(given) > 1:
            names = ", ".join(CHANGEABLE[one].name if one in CHANGEABLE else one for one in given)
            raise InvalidParameterCombination(f"Fields for multiple attribute types specified: {names}")
        ((field, value),) = given.items()
        if field in CHANGEABLE:
            self._change(instance, CHANGEABLE[field], value)
        else:
            OTHERS[field](self, instance, value)
        return EmptyResult()

    def describe_instance_attribute(self) -> ActionResult:
        """Tell one attribute, under the name that the answer has for it."""
        name = self._get_param("Attribute")
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.error_on_dryrun()
        shown: dict[str, Any] = {"InstanceId": instance.id}
        if name in BY_NAME:
            attribute = CHANGEABLE[BY_NAME[name]]
            shown[attribute.member] = {"Value": getattr(instance, attribute.field)}
        elif name == "rootDeviceName":
            shown["RootDeviceName"] = {"Value": instance.root_device_name}
        elif name == "blockDeviceMapping":
            shown["BlockDeviceMappings"] = instance.block_device_mappings
        elif name == "groupSet":
            shown["Groups"] = [{"GroupId": one.id, "GroupName": one.name} for one in instance.security_groups]
        elif name == "productCodes":
            shown["ProductCodes"] = instance.product_codes
        elif name == "enclaveOptions":
            shown["EnclaveOptions"] = instance.enclave_options
        else:
            raise InvalidParameterValueErrorUnknownAttribute(name)
        return ActionResult(shown)

    def _given(self) -> dict[str, Any]:
        """Return what the request changes, by its field; it may also name the attribute and give one value."""
        given = {field: self._get_param(f"{field}.Value") for field in CHANGEABLE}
        if name := self._get_param("Attribute"):
            if name not in BY_NAME:
                raise InvalidParameterValueErrorUnknownAttribute(name)
            given.setdefault(BY_NAME[name], None)
            if given[BY_NAME[name]] is None:
                given[BY_NAME[name]] = self._get_param("Value")
        given["Groups"] = self._get_param("Groups") or None
        given["BlockDeviceMappings"] = self._get_param("BlockDeviceMappings") or None
        given["EnclaveOptions"] = self._get_param("EnclaveOptions")
        return {field: value for field, value in given.items() if value is not None}

    def _change(self, instance: Any, attribute: Attribute, value: Any) -> None:
        read = attribute.read(value)
        if attribute.when_stopped:
            check_stopped(instance)
        self.error_on_dryrun()
        setattr(instance, attribute.field, read)
        if attribute.field == "instance_type":
            instance.cpu_options = default_cpu_options(read)
        elif attribute.field in ("kernel", "ramdisk"):
            setattr(instance, f"{attribute.field}_id", read)
        elif attribute.field == "source_dest_check":
            instance.nics[0].source_dest_check = read

    def _change_groups(self, instance: Instance, given: list[str]) -> None:
        """Replace the security groups of the instance and its first interface."""
        groups = []
        for group_id in given:
            group = self.ec2_backend.get_security_group_from_id(group_id)
            if group is None:
                raise InvalidSecurityGroupNotFoundError(group_id)
            groups.append(group)
        self.error_on_dryrun()
        instance.security_groups = groups
        private.set_interface_groups(instance.nics[0], groups)

    def _change_devices(self, instance: Instance, given: list[dict[str, Any]]) -> None:
        """Say which volumes go with the instance."""
        for one in given:
            if one["DeviceName"] not in instance.block_device_mapping:
                raise EC2ClientError(
                    "InvalidInstanceAttributeValue", f"No device is currently mapped at {one['DeviceName']}"
                )
        self.error_on_dryrun()
        for one in given:
            kept = (one.get("Ebs") or {}).get("DeleteOnTermination")
            instance.block_device_mapping[one["DeviceName"]].delete_on_termination = kept is not False

    def _change_enclave(self, instance: Any, given: dict[str, Any]) -> None:
        """Say whether the instance may have enclaves."""
        check_stopped(instance)
        self.error_on_dryrun()
        instance.enclave_options = {"Enabled": bool(given.get("Enabled"))}


OTHERS: dict[str, Callable[[AttributesResponse, Instance, Any], None]] = {
    "BlockDeviceMappings": AttributesResponse._change_devices,
    "EnclaveOptions": AttributesResponse._change_enclave,
    "Groups": AttributesResponse._change_groups,
}


def check_stopped(instance: Instance) -> None:
    """Raise EC2's error unless the instance is stopped."""
    if instance.state != "stopped":
        raise EC2ClientError("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
