"""Tocos per user."""

from typing import Annotated

import msgspec
from msgspec import Meta

from homeport_app.contract import Service

_DEFAULT_TOCOS = 100

User = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        # No control character (C0, DEL, C1) and no line or paragraph separator. As a look-ahead, since Python's "$"
        # would let a newline at the end pass.
        pattern="^(?![\\s\\S]*[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029])",
        description="A user's name: 1 to 64 characters, none of them a control character.",
    ),
]
Tocos = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Tocos that the user owns.")]


class Settings(msgspec.Struct, frozen=True):
    """What only this service is told."""

    known_users: Annotated[
        dict[User, Tocos], Meta(description=f"Balances of known users; any other has {_DEFAULT_TOCOS}.")
    ] = {}


class Balance(msgspec.Struct, frozen=True):
    """A user's balance."""

    user: User
    tocos: Tocos


def create(settings: Settings) -> Service:
    """The balance service."""
    service = Service("balance", "Tocos per user")

    @service.route("GET", "/users/{user}/balance", summary="A user's balance")
    def balance(user: User) -> Balance:
        return Balance(user, settings.known_users.get(user, _DEFAULT_TOCOS))

    return service
