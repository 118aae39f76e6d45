"""How tools reach a region: the standard AWS settings, and clients made from them."""

import functools
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config

from homeport.errors import HomeportError
from homeport.region.state import Run, StateFolder
from homeport.system.files import write_atomically

API_PORT = 4566
"""The port that tools for local AWS stand-ins (awslocal, tflocal) ask by default."""
REGION_NAME = "eu-central-1"
"""The region's name in ARNs and zones; the environments in terraform/environments name the same."""

KEY_NAME = "homeport-local"
"""The key pair that instances of the container driver let in by ssh."""


@dataclass(frozen=True)
class Keys:
    """An access key."""

    access_key_id: str
    secret_access_key: str


def make_keys(state: StateFolder) -> Keys:
    """Make the administrator's keys, readable by the owner of the state folder alone."""
    keys = Keys("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))
    write_atomically(state.credentials, f"{keys.access_key_id}\n{keys.secret_access_key}\n", 0o600)
    return keys


def read_keys(state: StateFolder) -> Keys:
    """Return the administrator's keys."""
    try:
        return Keys(*state.credentials.read_text().split())
    except FileNotFoundError as error:
        raise not_running(state) from error
    except PermissionError as error:
        raise HomeportError(
            f"the region's keys in {state.credentials} belong to another user",
            next_step="run the command as the user who started the region (sudo homeport ...)",
        ) from error


def running(state: StateFolder) -> Run:
    """Return the running region's facts, or raise ``HomeportError``."""
    run = state.read_run()
    if run is None:
        raise not_running(state)
    return run


def not_running(state: StateFolder) -> HomeportError:
    """Return the error for a region that is not there."""
    return HomeportError(f"no region runs on the state folder {state.root}", next_step="make up")


def settings(run: Run, keys: Keys) -> dict[str, str]:
    """Return the environment variables with which any AWS tool reaches the region.

    The endpoint is an IP literal: to a name, SDKs would prefix the names of buckets.
    """
    return {
        "AWS_ENDPOINT_URL": endpoint(run.api_port),
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": REGION_NAME,
        "AWS_DEFAULT_REGION": REGION_NAME,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def endpoint(api_port: int) -> str:
    """Return the API's URL."""
    return f"http://127.0.0.1:{api_port}"


def client(service: str, reach: Mapping[str, str]) -> Any:
    """Return a boto3 client that reaches what ``settings`` describes, whatever this process's environment says."""
    return _session().client(
        service,
        endpoint_url=reach["AWS_ENDPOINT_URL"],
        aws_access_key_id=reach["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=reach["AWS_SECRET_ACCESS_KEY"],
        region_name=reach["AWS_REGION"],
        # The region is on this machine: what fails once fails again.
        config=Config(retries={"total_max_attempts": 2}, proxies={}, max_pool_connections=16),
    )


@functools.cache
def _session() -> Any:
    # A profile that is named but not there, or a broken file, would fail every client.
    unread = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    own = botocore.session.Session(session_vars={"profile": (None, None, None, None), **unread})
    return Session(botocore_session=own)
