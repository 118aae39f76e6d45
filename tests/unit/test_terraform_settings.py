"""Settings of the platform's Terraform act on its root alone: the shell has none of them, the command all."""

import os
import pty
import re
import shlex
import signal
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from homeport.region import access
from homeport.region.state import Run, StateFolder
from homeport.system import processes
from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
HOMEPORT = ROOT / ".venv" / "bin" / "homeport"
FOR_ANY_ROOT = {
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "TF_CLI_CONFIG_FILE",
    "NO_PROXY",
    "no_proxy",
    "ANSIBLE_PRIVATE_KEY_FILE",
    "HOMEPORT_STATE",
}
"""What any tool of a shell may have."""
USERS_OWN = {
    "TF_VAR_vpc_cidr": "10.9.0.0/16",
    "TF_VAR_environment": "of-another-root",
    "TF_CLI_ARGS": "-of-another-root",
    "TF_CLI_ARGS_plan": "-of-another-root",
    "TF_DATA_DIR": "of-another-root",
    "TF_WORKSPACE": "of-another-root",
    "AWS_PROFILE": "of-another-root",
    "AWS_ENDPOINT_URL": "http://of-another-root",
}


@pytest.fixture
def region(tmp_path):
    """Make what the commands read of a running region; this very process stands for it."""

    def make(name="state", driver="process", port=4566, network="127.64.0.0/16", pid=0):
        pid = pid or os.getpid()
        state = StateFolder(tmp_path / name)
        state.create()
        access.make_keys(state)
        start = processes.start_time(pid) or 1
        state.write_run(Run(pid, start, f"r-{name}", port, network, 1.0, "0", str(ROOT), driver))
        if driver == "container":
            state.private_key.write_text("a key\n")
        return state

    return make


@pytest.fixture
def terraform(tmp_path, monkeypatch):
    """A Terraform in front of PATH that prints what it is given and ends as it is told."""
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("TF_", "AWS_", "HOMEPORT_", "ANSIBLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    write('for word; do echo "word $word"; done; env')
    return write


def homeport(*arguments, environment=(), **options):
    return subprocess.run(
        [str(word) for word in (HOMEPORT, *arguments)],
        env=os.environ | dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def exported(state, environment=()):
    """Return the names and values that `region env` exports."""
    done = homeport("region", "env", "--state", state.root, environment=environment)
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    return dict(words[1].split("=", 1) for words in lines if words[0] == "export")


def given(*arguments, environment=()):
    """Return the words and the environment that Terraform gets from `homeport terraform`."""
    done = homeport("terraform", *arguments, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    words = [line.removeprefix("word ") for line in lines if line.startswith("word ")]
    return words, dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


@pytest.mark.parametrize("driver", ["process", "container"])
def test_the_shell_gets_only_what_any_tool_and_any_root_may_have(region, terraform, driver):
    names = set(exported(region(driver=driver)))
    assert names <= FOR_ANY_ROOT
    assert {"AWS_ENDPOINT_URL", "NO_PROXY", "HOMEPORT_STATE"} <= names
    assert ("ANSIBLE_PRIVATE_KEY_FILE" in names) == (driver == "container")


@pytest.mark.parametrize("driver", ["process", "container"])
def test_terraform_gets_the_platform_and_nothing_of_another_root(region, terraform, driver):
    state = region(driver=driver)
    words, environment = given("--state", state.root, "plan", environment=USERS_OWN)
    assert words == [f"-chdir={ROOT}/terraform/platform", "plan"]
    assert "of-another-root" not in str(environment)
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert environment["AWS_ACCESS_KEY_ID"] == access.read_keys(state).access_key_id
    assert environment["TF_DATA_DIR"] == str(state.terraform / "data")
    key = ["-var=key_name=homeport-local"] if driver == "container" else []
    variables = [f"-var-file={ROOT}/terraform/environments/local.tfvars", "-var=vpc_cidr=127.64.0.0/16", *key]
    for command in ("plan", "apply", "destroy", "refresh", "import", "console"):
        assert shlex.split(environment[f"TF_CLI_ARGS_{command}"]) == variables
    backend = f"-backend-config={ROOT}/terraform/environments/local.s3.tfbackend"
    assert environment["TF_CLI_ARGS_init"] == backend
    # A terraform.tfvars in the root, for an account, would win over these.
    assert not [name for name in environment if name.startswith("TF_VAR_")]


def test_terraform_s_own_log_settings_are_kept(region, terraform):
    _, environment = given("--state", region().root, "plan", environment={"TF_LOG": "debug", "TF_LOG_PATH": "/x"})
    assert (environment["TF_LOG"], environment["TF_LOG_PATH"]) == ("debug", "/x")


def test_two_regions_of_one_checkout_share_no_setting(region, terraform):
    first = region("first", driver="container")
    second = region("second", port=4567, network="127.65.0.0/16")
    shell = exported(first)
    words, environment = given("--state", second.root, "plan", environment=shell)
    assert words == [f"-chdir={ROOT}/terraform/platform", "plan"]
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4567"
    assert "127.65.0.0/16" in environment["TF_CLI_ARGS_plan"]
    seen = {name: value for name, value in environment.items() if name.startswith(("AWS_", "TF_", "_HOMEPORT"))}
    assert str(first.root) not in str(seen)
    assert access.read_keys(first).access_key_id not in str(seen)


def test_a_shell_that_changes_regions_keeps_nothing_of_the_first(region, terraform):
    first, second = region("first", driver="container"), region("second", port=4567)
    script = 'eval "$($1 region env --state $2)"; eval "$($1 region env --state $3)"; env'
    words = ["bash", "-c", script, "sh", HOMEPORT, first.root, second.root]
    seen = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True, timeout=60)
    assert str(second.root) in seen.stdout
    assert str(first.root) not in seen.stdout


def test_in_a_shell_of_a_region_the_command_means_that_region(region, terraform):
    region("default")
    state = region("other", port=4567)
    _, environment = given("plan", environment=exported(state))
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4567"
    assert environment["TF_DATA_DIR"] == str(state.terraform / "data")


def test_the_user_s_own_configuration_of_terraform_is_kept(region, terraform, tmp_path):
    state = region()
    (tmp_path / "mine.rc").write_text('plugin_cache_dir = "/x"\n')
    own = {"TF_CLI_CONFIG_FILE": "mine.rc"}
    done = homeport("region", "env", "--state", state.root, environment=own, cwd=tmp_path)
    # Whole, for a shell that goes elsewhere.
    assert f"export TF_CLI_CONFIG_FILE={tmp_path}/mine.rc\n" in done.stdout


def test_every_word_arrives_as_it_was_typed(region, terraform):
    state = region()
    arguments = ["plan", "-var", "capacity={balance={min=4,max=6}}", "-out=a plan", "--help", "-h", '-target=a["b"]']
    words, _ = given("--state", state.root, *arguments)
    assert words[1:] == arguments
    for place in (0, 1, len(arguments)):
        words, _ = given(*arguments[:place], f"--state={state.root}", *arguments[place:])
        assert words[1:] == arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-chdir=elsewhere", "plan"], "-chdir=elsewhere: homeport terraform works on the platform's root alone"),
        (["-chdir", "elsewhere", "plan"], "-chdir: homeport terraform works"),
        (["destroy", "-state", "/other"], "-state: the platform's state is in a bucket"),
        (["destroy", "-state=/other"], "-state=/other: the platform's state is in a bucket"),
    ],
)
def test_what_would_lead_to_another_root_is_refused(region, terraform, arguments, message):
    done = homeport("terraform", "--state", region().root, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: {message}" in done.stderr
    assert "\nnext: " in done.stderr


def test_a_saved_plan_is_applied_with_the_variables_that_it_holds(region, terraform, tmp_path):
    state = region()
    with zipfile.ZipFile(tmp_path / "saved", "w") as plan:
        plan.writestr("tfplan", "")
    _, environment = given("--state", state.root, "apply", "-input=false", tmp_path / "saved")
    assert "TF_CLI_ARGS_apply" not in environment
    _, environment = given("--state", state.root, "apply", "-input=false")
    assert "TF_CLI_ARGS_apply" in environment


@pytest.mark.parametrize("code", [0, 2, 127])
def test_terraform_s_exit_code_and_streams_are_the_command_s(region, terraform, code):
    terraform(f"cat; echo said >&2; exit {code}")
    done = homeport("terraform", "--state", region().root, "plan", input="typed")
    assert (done.returncode, done.stdout, done.stderr) == (code, "typed", "said\n")


def test_terraform_takes_the_place_of_the_command(region, terraform, tmp_path):
    terraform('echo $$ >"$HOME/pid.new"; mv "$HOME/pid.new" "$HOME/pid"; exec sleep 60')
    command = [HOMEPORT, "terraform", "--state", region().root, "apply"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            eventually((tmp_path / "pid").exists, what="Terraform runs")
            # So every signal is Terraform's, and none of Python's habits is left.
            assert int((tmp_path / "pid").read_text()) == process.pid
            status = Path(f"/proc/{process.pid}/status").read_text()
            ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)
            assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == -signal.SIGTERM
        finally:
            process.kill()


def test_terraform_has_the_terminal(region, terraform):
    terraform('[ -t 0 ] && [ -t 1 ] && read -r answer && echo "answered $answer"')
    master, slave = pty.openpty()
    command = [HOMEPORT, "terraform", "--state", region().root, "apply"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
        try:
            os.write(master, b"yes\n")
            assert process.wait(timeout=60) == 0
            assert b"answered yes" in os.read(master, 4096)
        finally:
            process.kill()
            os.close(master)
            os.close(slave)


def test_homeport_down_finds_a_terraform_that_still_runs(region, terraform):
    state = region()
    _, environment = given("--state", state.root, "plan")
    assert environment[processes.STATE_MARK] == str(state.root)


@pytest.mark.parametrize("command", [["terraform", "plan"], ["region", "env"]], ids=" ".join)
def test_a_region_that_is_not_there_or_has_ended_is_told(region, terraform, tmp_path, command):
    none = homeport(*command, "--state", tmp_path / "nothing")
    assert (none.returncode, none.stdout) == (1, "")
    assert f"error: no region runs on the state folder {tmp_path / 'nothing'}\nnext: make up" in none.stderr
    with subprocess.Popen(["true"]) as process:
        process.wait()
    ended = homeport(*command, "--state", region(pid=process.pid).root)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"error: the region's process {process.pid} has ended" in ended.stderr
    assert "\nnext: make up" in ended.stderr


def test_help_tells_of_both(region, terraform):
    done = homeport("terraform", "--help")
    assert "homeport terraform plan" in " ".join(done.stdout.split())
    assert "--state" in done.stdout
    words, _ = given("--state", region().root, "-help")
    assert words[1:] == ["-help"]
