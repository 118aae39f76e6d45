"""The key pair with which one logs in to this machine's instances, as an operator has one in an account."""

from pathlib import Path
from typing import Any

from homeport.region.access import KEY_NAME
from homeport.region.state import StateFolder
from homeport.system.files import explained, write_atomically


def make_key_pair(ec2: Any, state: StateFolder) -> Path:
    """Return the private key's file; the API makes the pair when it does not know it, or the file is not there.

    ``ec2`` is a boto3 client. Instances know the keys that were there when they were launched: one that
    is made anew opens none of them.
    """
    known = ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [KEY_NAME]}])["KeyPairs"]
    if known and state.private_key.is_file():
        return state.private_key
    ec2.delete_key_pair(KeyName=KEY_NAME)
    pair = ec2.create_key_pair(KeyName=KEY_NAME, KeyType="ed25519")
    with explained(state.private_key):
        write_atomically(state.private_key, pair["KeyMaterial"].rstrip("\n") + "\n", 0o600)
    return state.private_key
