"""Which Python an image is built on: one that the services' unprivileged user can run."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from homeport.errors import HomeportError
from homeport.system.processes import unprivileged_account

OLDEST = (3, 11)
_PROBE = "import platform, ssl, zlib; print(platform.python_version())"


@dataclass(frozen=True)
class Interpreter:
    """A Python that was run and answered."""

    path: Path
    version: str


def candidates() -> list[Path]:
    """Return where to look, best first: what Homeport itself runs on, then the distribution's, newest first."""
    own = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    usual = Path("/usr/bin")
    numbered = sorted(usual.glob("python3.[0-9][0-9]"), key=lambda path: path.name, reverse=True)
    return list(dict.fromkeys([own, usual / "python3", *numbered]))


def choose(paths: list[Path] | None = None) -> Interpreter:
    """Return the first interpreter that the unprivileged user can run and that is new enough.

    Raises ``HomeportError`` that tells for each one why not.
    """
    refused = []
    for path in candidates() if paths is None else paths:
        done = run_unprivileged([str(path), "-I", "-c", _PROBE])
        version = done.stdout.strip()
        if done.returncode != 0:
            refused.append(f"{path}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        elif tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            refused.append(f"{path}: version {version} is older than 3.11")
        else:
            return Interpreter(path, version)
    account = unprivileged_account()
    who = f"user {account.name}, as which the services run," if account else "this user"
    raise HomeportError(
        f"no Python that {who} can run and that is 3.11 or newer",
        next_step="install the distribution's python3, or run the region as an ordinary user",
        log="\n".join(refused),
    )


def run_unprivileged(
    command: list[str], environment: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a short command as a machine would run it; one that cannot be started has return code 127."""
    account = unprivileged_account()
    try:
        return subprocess.run(
            command,
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            user=account.user if account else None,
            group=account.group if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        who = f" as user {account.name}" if account else ""
        return subprocess.CompletedProcess(command, 127, "", f"cannot be run{who}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {timeout:g} seconds")
