"""What an instance's metadata service must know, as plain data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
    user_data: str = ""
    """As the API holds it: base64 or plain."""
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
