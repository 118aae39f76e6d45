"""What an instance keeps of the request that launched it, beside what moto's own launch keeps."""

from collections.abc import Mapping
from typing import Any

from homeport.region.ec2 import addressing
from homeport.region.from_moto import private
from homeport.region.from_moto.ec2 import INSTANCE_TYPES, Instance, NetworkInterface

Fields = Mapping[str, Any]

DEFAULTS: dict[str, dict[str, Any]] = {
    "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
    "EnclaveOptions": {"Enabled": False},
    "HibernationOptions": {"Configured": False},
    "MaintenanceOptions": {"AutoRecovery": "default", "RebootMigration": "default"},
    "NetworkPerformanceOptions": {"BandwidthWeighting": "default"},
}
"""What DescribeInstances shows of a structure where the request says nothing of it."""

FIELDS = {
    "CapacityReservationSpecification": "capacity_reservation_specification",
    "CpuOptions": "cpu_options",
    "CreditSpecification": "credit_specification",
    "EnclaveOptions": "enclave_options",
    "HibernationOptions": "hibernation_options",
    "MaintenanceOptions": "maintenance_options",
    "NetworkPerformanceOptions": "network_performance_options",
    "PrivateDnsNameOptions": "private_dns_name_options",
}
"""Structures that an instance keeps as they are, by the names of moto's Instance: answers are read from there."""

PLACEMENT = {
    "Affinity": "affinity",
    "GroupId": "group_id",
    "GroupName": "group_name",
    "HostId": "host_id",
    "HostResourceGroupArn": "host_resource_group_arn",
    "PartitionNumber": "partition_number",
    "SpreadDomain": "spread_domain",
    "Tenancy": "tenancy",
}

VOLUME = {"Iops": "iops", "Throughput": "throughput", "VolumeInitializationRate": "volume_initialization_rate"}
UNLIMITED_FAMILIES = ("t3", "t3a", "t4g", "t8i")
"""Families that begin with unlimited credits (EC2 User Guide, burstable performance instances)."""


def keep(instance: Any, request: Fields, interfaces: list[dict[str, Any]], tags: Mapping[str, Any]) -> None:
    """Give a new instance, its volumes and its interfaces what the merged request says of them.

    ``interfaces`` and ``tags`` are the request's own: specifications by device, and tags by resource type.
    """
    instance.disable_api_termination = bool(request.get("DisableApiTermination"))
    instance.disable_api_stop = bool(request.get("DisableApiStop"))
    instance.ena_support = True
    for name, field in FIELDS.items():
        setattr(instance, field, _defaults(instance, name) | dict(request.get(name) or {}))
    instance.licenses = list(request.get("LicenseSpecifications") or [])
    instance.kernel_id = instance.kernel = request.get("KernelId")
    instance.ramdisk_id = instance.ramdisk = request.get("RamdiskId")
    for name, field in PLACEMENT.items():
        if (request.get("Placement") or {}).get(name) is not None:
            setattr(instance.placement, field, request["Placement"][name])
    for mapping in request.get("BlockDeviceMappings") or []:
        if attached := instance.block_device_mapping.get(mapping["DeviceName"]):
            _keep_volume(instance.ec2_backend.volumes[attached.volume_id], mapping.get("Ebs") or {})
    for spec in interfaces:
        interface = instance.nics[int(spec.get("DeviceIndex") or 0)]
        _keep_interface(instance, interface, spec)
        if not spec.get("NetworkInterfaceId"):
            interface.add_tags(tags.get("network-interface", {}))
    _free_unused(instance)
    if not instance.security_groups and len(instance.nics) == 1:
        # An instance shows the groups of its interface; moto does so for groups that the request has outside of it.
        instance.security_groups = list(instance.nics[0].group_set)


def default_cpu_options(instance_type: str) -> dict[str, Any]:
    """Return the cores of an instance type, and the threads of each; nothing for a type that is not known."""
    known = INSTANCE_TYPES.get(instance_type, {}).get("VCpuInfo", {})
    found = {"CoreCount": known.get("DefaultCores"), "ThreadsPerCore": known.get("DefaultThreadsPerCore")}
    return {name: value for name, value in found.items() if value is not None}


def default_credits(instance_type: str) -> str:
    """Return the CPU credits that a burstable type begins with."""
    return "unlimited" if instance_type.split(".", maxsplit=1)[0] in UNLIMITED_FAMILIES else "standard"


def _defaults(instance: Instance, name: str) -> dict[str, Any]:
    if name == "CpuOptions":
        return default_cpu_options(instance.instance_type)
    if name == "CreditSpecification":
        return {"CpuCredits": default_credits(instance.instance_type)}
    if name == "PrivateDnsNameOptions":
        return dict(instance.nics[0].subnet.private_dns_name_options_on_launch)
    return DEFAULTS[name]


def _keep_volume(volume: Any, ebs: Fields) -> None:
    volume.volume_type = ebs.get("VolumeType") or "gp2"
    volume.iops = volume.throughput = None
    if volume.volume_type == "gp2":
        volume.iops = min(max(100, 3 * int(volume.size)), 16000)
    elif volume.volume_type == "gp3":
        volume.iops, volume.throughput = 3000, 125
    for name, field in VOLUME.items():
        if ebs.get(name) is not None:
            setattr(volume, field, ebs[name])


def _keep_interface(instance: Instance, interface: Any, spec: Fields) -> None:
    existing = bool(spec.get("NetworkInterfaceId"))
    # moto keeps the interfaces that it makes for an instance for ever.
    interface.delete_on_termination = bool(spec.get("DeleteOnTermination", not existing))
    if existing:
        if interface.device_index == 0:
            private.place(instance, interface.subnet)
        return
    interface.description = spec.get("Description") or ""
    interface.interface_type = spec.get("InterfaceType") or "interface"
    if spec.get("ConnectionTrackingSpecification"):
        interface.connection_tracking_configuration = dict(spec["ConnectionTrackingSpecification"])
    _keep_addresses(interface, spec)
    if interface.public_ip:
        # moto would make one up, and it would be a stranger's. This one answers.
        interface.public_ip = interface.private_ip_address


def _free_unused(instance: Instance) -> None:
    """Free the address that moto draws for an instance whose first interface exists already."""
    had = {one["PrivateIpAddress"] for nic in instance.nics.values() for one in nic.private_ip_addresses}
    for subnet in instance.ec2_backend.describe_subnets():
        for address in [
            one for one, holder in private.given_addresses(subnet).items() if holder is instance and one not in had
        ]:
            subnet.del_subnet_ip(address)


def _keep_addresses(interface: NetworkInterface, spec: Fields) -> None:
    """Give an interface the addresses that the request names or counts; moto looks at the first one only."""
    backend, subnet = interface.ec2_backend, interface.subnet
    asked = addressing.asked_addresses(spec)
    if interface.device_index != 0:
        # moto drew it by lot, whether somebody has it or not.
        del backend.enis[interface.id]
        interface.private_ip_address = asked[0] if asked else addressing.lowest(subnet, addressing.holders(backend))[0]
        interface.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": interface.private_ip_address}]
        backend.enis[interface.id] = interface
    for address in asked[1:]:
        interface.private_ip_addresses.append({"Primary": False, "PrivateIpAddress": address})
    for _ in range(int(spec.get("SecondaryPrivateIpAddressCount") or 0)):
        address = addressing.lowest(subnet, addressing.holders(backend))[0]
        interface.private_ip_addresses.append({"Primary": False, "PrivateIpAddress": address})
    interface.ipv6_addresses = [one["Ipv6Address"] for one in spec.get("Ipv6Addresses") or []]
    if spec.get("Ipv6AddressCount"):
        backend.assign_ipv6_addresses(interface.id, ipv6_count=int(spec["Ipv6AddressCount"]))
