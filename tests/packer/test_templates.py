"""The files that Packer reads: valid, formatted, and one text for both versions but where 1.6 cannot read it."""

import re

import pytest

from tests.packer.conftest import PACKER, given, packer

OWN = {"versions.pkr.hcl", "amazon.pkr.hcl"}
"""What differs between the versions."""


@pytest.fixture(autouse=True)
def plugins(old):
    if not old and packer("plugins", "installed").stdout.count("packer-plugin-") < 3:
        pytest.skip("Packer's plugins are not installed: packer init packer")


def test_both_sources_are_valid(template, variables):
    done = packer("validate", *given(variables), template)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", [PACKER, PACKER / "1.6"], ids=["current", "1.6"])
def test_files_are_formatted(folder):
    done = packer("fmt", "-check", "-diff", folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_1_6_can_read_is_shared():
    current = {path.name for path in PACKER.glob("*.pkr.hcl")}
    old = {path.name: path for path in (PACKER / "1.6").iterdir()}
    assert set(old) == current
    for name in current - OWN:
        assert old[name].readlink().as_posix() == f"../{name}"


def test_the_machine_of_1_6_is_the_current_one_without_what_it_cannot_read():
    newer = (
        r"^  metadata_options \{.*?^  \}\n\n|^  temporary_key_pair_type .*?\n\n|^  (?:imds_support|deprecate_at) .*?\n"
    )
    current = re.sub(newer, "", (PACKER / "amazon.pkr.hcl").read_text(), flags=re.MULTILINE | re.DOTALL)
    old = (PACKER / "1.6" / "amazon.pkr.hcl").read_text()
    # Each file's first line says where the other one is.
    assert old.splitlines()[1:] == current.splitlines()[1:]


def test_the_machine_is_as_on_aws_it_must_be():
    """What 1.6 cannot read is not validated where only that version is installed."""
    text = (PACKER / "amazon.pkr.hcl").read_text()
    for line in ('http_tokens   = "required"', 'imds_support    = "v2.0"', "encrypted             = true", '"gp3"'):
        assert line in text
    assert re.search(r"^  deprecate_at +=", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("digest", "abc", "64 hexadecimal digits"),
        ("digest", "A" * 64, "64 hexadecimal digits"),
        ("service_image_archive", "/nowhere/app.tar", "homeport image container makes it"),
        ("environment", "", "2 to 12 lower-case"),
        ("environment", "Prod", "2 to 12 lower-case"),
        ("region", "Frankfurt", "must look like eu-central-1"),
        ("ec2_endpoint", "localhost:4566", "must be a URL"),
        ("source_ami_owners", "[]", "Without an owner"),
        ("source_ami_name", "*", "must be longer"),
        ("instance_type", "small", "must look like t3.small"),
        ("root_volume_gib", "4", "must have 8"),
        ("subnet_id", "vpc-0123", "must look like subnet-"),
        ("ssh_interface", "wlan0", "must be public_ip"),
        ("ssh_username", "root", "must be an ordinary one"),
        ("deprecate_after_days", "0", "must be 1 to 730"),
        ("docker_base", "", "must be named"),
        ("docker_repository", "Homeport", "must be lower-case"),
        ("manifest", "manifest", "must be a .json file"),
    ],
)
def test_refused(template, variables, name, value, says):
    done = packer("validate", *given(variables | {name: value}), template)
    assert done.returncode != 0
    assert says in " ".join((done.stdout + done.stderr).split())


def test_every_variable_is_described_and_checked():
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', (PACKER / "variables.pkr.hcl").read_text(), re.M | re.S)
    assert len(blocks) > 10
    for name, body in blocks:
        assert "description = " in body, name
        assert "validation {" in body or re.search(r"type += bool$", body, re.M), name
