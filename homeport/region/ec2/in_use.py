"""How EC2 says that a thing is in use: by its code and its sentence, and here by what the caller has to free."""

from collections.abc import Iterable

from homeport.region.from_moto.ec2 import EC2ClientError

SHOWN = 5
"""How many dependents an error names."""


def refuse(dependents: Iterable[str], sentence: str, code: str = "DependencyViolation") -> None:
    """Raise EC2's error when there are dependents."""
    if names := list(dependents):
        raise EC2ClientError(code, f"{sentence}: {listed(names)}.")


def refuse_deletion(dependents: Iterable[str], kind: str, name: str) -> None:
    """Raise ``DependencyViolation`` in the words that EC2 has for most kinds of things."""
    refuse(dependents, f"The {kind} '{name}' has dependencies and cannot be deleted")


def listed(names: list[str]) -> str:
    """Return the first few of many names."""
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more])
