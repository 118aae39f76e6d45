"""Every command of the README, run in its order, with its output as the README shows it.

A ```console block holds commands (``$ ``) and what they print: ids, addresses, times and counts may differ, and a line
``...`` stands for any lines. A ```sh block cannot run here; a comment above it says why.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass

import pytest

from tests.fleets import HOMEPORT, ROOT, free_port, run, state_folder

README = (ROOT / "README.md").read_text(encoding="utf-8")
DEADLINE = 200
"""Seconds for one command; where the fleet is gone, make up needs the provider's minute for a balancer."""
A_FREE_PORT = "--port 4567"
"""Free on a reader's machine; here others may run beside."""
TOOLS = ("aws", "awslocal")
"""What a reader may lack."""
ON_A_FLEET_OF_ITS_OWN = "make down"
"""The one command that would take the fleet from under the other tests."""
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)

VARYING = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME"),
    (r"http://(homeport-local-[0-9a-f]+\.[a-z0-9-]+\.elb\.homeport\.internal|127\.[\d.]+):8080", "BALANCER"),
    (r"127\.\d+\.\d+\.\d+", "ADDRESS"),
    (r"\b([a-z]+)-[0-9a-f]{8,17}\b", r"\1-ID"),
    (r"\beu-central-1[abc]\b", "ZONE"),
    (r":\d{4,5}\b", ":PORT"),
    (r"\bpid \d+", "pid PID"),
    (r"\d+\.\d+ s\b", "SECONDS"),
    (r"\d+ (added|changed|destroyed)", r"N \1"),
    (r" +", " "),
)


@dataclass(frozen=True)
class Block:
    number: int
    kind: str
    why: str
    text: str

    @property
    def commands(self):
        """Commands with the lines that they print."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)
        assert parts[0] == "", f"a console block begins with a command: {parts[0]!r}"
        return list(zip(parts[1::2], parts[2::2], strict=True))

    def __str__(self):
        return f"{self.number}: {self.text.splitlines()[0].removeprefix('$ ')[:40]}"


BLOCKS = [
    Block(number, match["kind"], match["why"] or "", match["text"])
    for number, match in enumerate(BLOCK.finditer(README), start=1)
]


class Shell:
    """One bash for the whole README, as a reader has it: variables and settings stay."""

    def __init__(self, environment):
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )

    def run(self, command, deadline=DEADLINE):
        """Return what a command prints; fail when it fails or does not end."""
        end = "== the command has ended with"
        timer = threading.Timer(deadline, self.kill)
        timer.start()
        try:
            self._process.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\n{end} %d\\n' $?\n")
            self._process.stdin.flush()
            lines = []
            for line in self._process.stdout:
                if line.startswith(end):
                    output = "".join(lines)
                    assert line.split()[-1] == "0", f"{command}\nexited with {line.split()[-1]}\n{output}"
                    return output
                lines.append(line)
        finally:
            timer.cancel()
        return pytest.fail(f"{command}\ndid not end within {deadline} s\n{''.join(lines)}", pytrace=False)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self):
        self.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def shell(fleet):
    settings = {"HOMEPORT_STATE": str(fleet.state.root), "PORT": str(fleet.port)}
    found = Shell({k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TF_"))} | settings)
    # The environment runs this very test: make must not bring it up to date under it.
    found.run('make() { command make -o setup "$@"; }')
    yield found
    found.close()


def comparable(text, state):
    for pattern, replacement in ((re.escape(str(state)), "/var/lib/homeport"), *VARYING):
        text = re.sub(pattern, replacement, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def assert_prints(command, shown, printed, state):
    wanted, got = comparable(shown, state), comparable(printed, state)
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in wanted.splitlines())
    assert re.fullmatch(pattern, got + "\n" if got else ""), (
        f"$ {command}\nprinted\n{got}\n\nthe README shows\n{wanted}"
    )


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "console"], ids=str)
def test_commands_print_what_the_readme_shows(block, fleet, shell):
    for tool in TOOLS:
        if re.search(rf"(^\$ |[=( ]){tool} ", block.text, re.MULTILINE) and not shutil.which(tool):
            pytest.skip(f"README, block {block.number}: {tool} is not on PATH")
    for command, shown in block.commands:
        if command == ON_A_FLEET_OF_ITS_OWN:
            with state_folder() as state:
                run(HOMEPORT, "region", "up", "--state", str(state.root), "--port", str(free_port()))
                printed = shell.run(f"HOMEPORT_STATE={state.root} {command}")
        else:
            printed = shell.run(command.replace(A_FREE_PORT, f"--port {free_port()}"))
        assert_prints(command, shown, printed, fleet.state.root)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "sh"], ids=str)
def test_commands_that_cannot_run_here_say_why(block):
    assert block.why, f"README, block {block}: no comment above it says why it is not run"
    pytest.skip(f"README, block {block.number} is not run: {block.why}")


def test_every_block_is_run_or_says_why():
    assert {block.kind for block in BLOCKS} == {"console", "sh"}
    assert README.count("```") == 2 * len(BLOCKS)
