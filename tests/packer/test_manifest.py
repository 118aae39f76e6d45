"""Packer's manifest: whatever is in it, the id of the one image that was just made comes out, or an error."""

import json

import pytest

from homeport.errors import HomeportError
from homeport.images import packer

THIS, BEFORE = "876a570a-ef50-b525-1979-03dd2efba905", "1787446f-caf3-8cbe-9cb1-fa82cfe961d7"


def entry(artifact="eu-central-1:ami-0123456789abcdef0", run=THIS, builder="amazon-ebs"):
    return {
        "name": "machine",
        "builder_type": builder,
        "build_time": 1795269889,
        "files": None,
        "artifact_id": artifact,
        "packer_run_uuid": run,
        "custom_data": None,
    }


@pytest.fixture
def manifest(tmp_path):
    file = tmp_path / "packer-manifest.json"

    def write(*builds, last=THIS):
        file.write_text(json.dumps({"builds": builds, "last_run_uuid": last}))
        return file

    return write


def test_the_image_of_the_last_run(manifest):
    earlier = entry("eu-central-1:ami-00000000000000000", run=BEFORE)
    other = entry("sha256:c4da47", builder="docker")
    assert packer.image_id(manifest(earlier, other, entry())) == "ami-0123456789abcdef0"


@pytest.mark.parametrize(
    ("builds", "says"),
    [
        ([], "0 images"),
        ([entry(run=BEFORE)], "0 images"),
        ([entry("sha256:c4da47", builder="docker")], "0 images"),
        ([entry(), entry()], "2 images"),
        ([entry("eu-central-1:ami-1,eu-west-1:ami-2")], "not one image in one region"),
        ([entry("")], "not one image in one region"),
        ([entry("ami-0123")], "not one image in one region"),
    ],
)
def test_no_image_or_several(manifest, builds, says):
    with pytest.raises(HomeportError, match=says) as raised:
        packer.image_id(manifest(*builds))
    assert raised.value.next_step


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"builds": null, "last_run_uuid": ""}', '{"builds": [{}]}'])
def test_malformed(tmp_path, text):
    file = tmp_path / "packer-manifest.json"
    file.write_text(text)
    with pytest.raises(HomeportError, match="cannot be read"):
        packer.image_id(file)


def test_missing(tmp_path):
    with pytest.raises(HomeportError, match="cannot be read"):
        packer.image_id(tmp_path / "packer-manifest.json")
