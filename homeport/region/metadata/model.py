"""What an instance's metadata service must know, as plain data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Interface:
    """A network interface, as far as metadata shows it."""

    mac: str
    interface_id: str
    device_number: int
    owner_id: str
    hostname: str
    addresses: tuple[str, ...]
    subnet_id: str
    subnet_range: str
    vpc_id: str
    vpc_ranges: tuple[str, ...]
    public_address: str = ""
    security_groups: tuple[tuple[str, str], ...] = ()
    """Id and name of each."""


@dataclass(frozen=True)
class InstanceMetadata:
    """One instance as the API knows it at this moment."""

    instance_id: str
    image_id: str
    instance_type: str
    address: str
    hostname: str
    mac: str
    zone: str
    region_name: str
    account_id: str
    launched_at: datetime
    user_data: bytes = b""
    """As it was before the API's base64: text, an archive, whatever the machine makes of it."""
    launch_index: int = 0
    reservation_id: str = ""
    key_name: str = ""
    public_key: str = ""
    """In OpenSSH's format, of the key pair that the instance was launched with."""
    root_device: str = "/dev/xvda"
    volumes: tuple[str, ...] = ()
    """Device names of further volumes."""
    interfaces: tuple[Interface, ...] = ()
    """The first one first."""
    tags: Mapping[str, str] | None = None
    """None unless the launch template says ``InstanceMetadataTags=enabled``."""
    role: str = ""
    """Name of the role in the instance's profile, empty without one."""
    instance_profile_arn: str = ""
    instance_profile_id: str = ""
    lifecycle_state: str = ""
    """``InService``, ``Terminated`` ...: where its group wants it; empty outside a group."""
    tokens_required: bool = True
    """``HttpTokens=required``: version 2 alone."""
    hop_limit: int = 1
    """``HttpPutResponseHopLimit``: how far a token may travel."""
    enabled: bool = True
    """``HttpEndpoint``."""


@dataclass(frozen=True)
class Source:
    """Where one instance's answers come from; both are called for each request that needs them."""

    describe: Callable[[], InstanceMetadata]
    credentials: Callable[[str], Mapping[str, Any]]
    """Given a role's name, returns what STS answers as ``Credentials``: ``AccessKeyId``,
    ``SecretAccessKey``, ``SessionToken`` and ``Expiration`` (a datetime with zone). Asked again when half
    of their life is over."""


@dataclass(frozen=True)
class Issued:
    """A role's keys with the times that the metadata service shows."""

    issued_at: datetime
    expires_at: datetime
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
