"""What the tests of EC2's API ask again and again."""

import pytest
from botocore.exceptions import ClientError

from tests.polling import eventually


def refused(code, call, **arguments):
    """Return the message with which a call is refused; it must be by this code."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def running(account, image, **fields):
    """Launch an instance and return its id once it runs."""
    instance = account.run(image, **fields)
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    return instance
