"""Where Terraform's providers come from: the user's own configuration, a mirror on this disk, or the registry."""

import os
from pathlib import Path

from homeport.system.files import explained, write_atomically

MIRROR_PLACES = ("/opt", "/usr/local", "/usr/local/share", "/usr/local/lib", "/usr/share", "/var/lib", "/srv", "~")
"""Where a provider mirror is looked for, at most two folders deep; Terraform itself knows fewer places."""
VARIABLE = "TF_CLI_CONFIG_FILE"
_FIRST_LINE = "# Written by homeport.\n"
"""By it a configuration of another region is not taken for the user's own."""


def for_the_platform(folder: Path) -> dict[str, str]:
    """Return the setting with which Terraform finds the platform's provider; ``folder`` holds what it needs for that.

    From the registry, the provider is kept in a cache that all fleets of this user share.
    """
    found = for_any_root(folder)
    return found if found or _has_usual_configuration() else _write(folder, f'plugin_cache_dir = "{_cache(folder)}"\n')


def for_any_root(folder: Path) -> dict[str, str]:
    """Return the same for a shell in which Terraform may work on any root: nothing, where Terraform needs no help.

    A configuration of ours would hide the user's in ``~/.terraform.d``, so it is given for a mirror alone.
    """
    if own := users_own():
        return {VARIABLE: own}
    mirror = None if _has_usual_configuration() else find_mirror()
    if mirror is None:
        return {}
    return _write(
        folder,
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = ["hashicorp/aws"]\n  }}\n'
        '  direct {\n    exclude = ["hashicorp/aws"]\n  }\n}\n',
    )


def users_own() -> str | None:
    """Return the whole path of the file that the user's ``TF_CLI_CONFIG_FILE`` names, None when it is ours or gone."""
    given = os.environ.get(VARIABLE)
    # Not pathlib's: it raises for a file in a folder that is closed to this user.
    if not given or not os.path.isfile(given) or is_ours(given):  # noqa: PTH113
        return None
    # What a shell keeps must still be right after cd.
    return os.path.abspath(given)  # noqa: PTH100  as above


def is_ours(path: str) -> bool:
    """Tell whether homeport wrote this configuration, for this region or another."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.readline() == _FIRST_LINE
    except OSError:
        return False


def find_mirror() -> Path | None:
    """Return the folder of a provider mirror on this machine's disk, or None."""
    for place in MIRROR_PLACES:
        for pattern in ("registry.terraform.io", "*/registry.terraform.io"):
            # os.path's expanduser leaves a user without a home as it is; pathlib's raises.
            for found in sorted(Path(os.path.expanduser(place)).glob(pattern)):  # noqa: PTH111
                if os.path.isdir(found / "hashicorp" / "aws"):  # noqa: PTH112  as in users_own
                    return found.parent
    return None


def _has_usual_configuration() -> bool:
    return os.path.isfile(os.path.expanduser("~/.terraformrc"))  # noqa: PTH111, PTH113  as above


def _cache(folder: Path) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  as above
    cache = (Path(base) if Path(base).is_absolute() else folder) / "homeport" / "providers"
    with explained(cache):
        cache.mkdir(parents=True, exist_ok=True)
    return cache


def _write(folder: Path, text: str) -> dict[str, str]:
    configuration = folder / "terraform.rc"
    with explained(configuration):
        folder.mkdir(parents=True, exist_ok=True)
    if not configuration.is_file() or configuration.read_text() != _FIRST_LINE + text:
        write_atomically(configuration, _FIRST_LINE + text)
    return {VARIABLE: str(configuration)}
