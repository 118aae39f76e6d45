"""A launch template under a request, for every field that EC2 has."""

import datetime

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.region.ec2.launch_template import ALTERNATIVES, KEYS, RENAMED, merge, merge_devices

EC2 = botocore.session.get_session().get_service_model("ec2")
TEMPLATE = EC2.shape_for("RequestLaunchTemplateData")
REQUEST = EC2.shape_for("RunInstancesRequest")
SCALARS = {
    "boolean": st.booleans(),
    "integer": st.integers(0, 3),
    "double": st.floats(0, 3),
    "timestamp": st.just(datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)),
    "blob": st.just(b"x"),
}


def values(shape, name=""):
    """Return a strategy for what the API takes by this shape; the items of keyed lists differ by their keys."""
    if shape.type_name == "structure":
        fields = {member: values(one, member) for member, one in shape.members.items()}
        required = {key: fields.pop(key) for key in KEYS.get(name, {}) if key in fields}
        made = st.fixed_dictionaries(required, optional=fields).map(lambda found: one_alternative(name, found))
        # An empty structure says nothing.
        return made.filter(bool) if name else made
    if shape.type_name == "list":
        if name in KEYS:
            return st.lists(
                values(shape.member, name),
                max_size=3,
                unique_by=lambda item: tuple(item.get(key) for key in KEYS[name]),
            )
        return st.lists(values(shape.member), max_size=2)
    return SCALARS.get(shape.type_name, st.sampled_from(["a", "b", "c"]))


def one_alternative(name, made):
    """EC2 takes one of them in one place."""
    given_ones = [one for one in ALTERNATIVES.get(name, ()) if one in made]
    return {key: value for key, value in made.items() if key not in given_ones[1:]}


def paths(value, name="", path=()):
    """Yield each fact of a request: where it is said, by names and keys, and what."""
    if isinstance(value, dict):
        for member, one in value.items():
            yield from paths(one, member, (*path, member))
    elif isinstance(value, list) and name in KEYS:
        for item in value:
            key = tuple(item.get(member, default) for member, default in KEYS[name].items())
            yield from paths(item, name, (*path, key))
    else:
        yield path, value


def template_paths(template):
    """Yield the facts of a template, by the names that a request has for its fields."""
    return paths({RENAMED.get(name, name): value for name, value in template.items()})


def spoken_for(path, said):
    """Whether the request says what is to be at a path, or chose an alternative of what lies on the way to it."""
    if path in said:
        return True
    for length in range(1, len(path) + 1):
        *before, member = path[:length]
        names = [part for part in before if isinstance(part, str)]
        others = set(ALTERNATIVES.get(names[-1] if names else "", ())) - {member}
        if any(tuple(one[:length]) == (*before, other) for one in said for other in others if member in ALL):
            return True
    return False


ALL = {member for members in ALTERNATIVES.values() for member in members}
templates, requests = values(TEMPLATE), values(REQUEST)


@settings(deadline=None, max_examples=300)
@given(templates, requests)
def test_no_field_of_a_template_is_lost_and_the_request_wins(template, request):
    before = repr(template), repr(request)
    merged = dict(paths(merge(template, request)))
    assert (repr(template), repr(request)) == before
    said = dict(paths(request))
    for path, value in said.items():
        assert merged[path] == value
    for path, value in template_paths(template):
        if not spoken_for(path, said):
            assert merged[path] == value, path
    assert merged.keys() <= said.keys() | dict(template_paths(template)).keys()


@settings(deadline=None, max_examples=50)
@given(templates)
def test_a_template_alone_says_all_that_it_holds(template):
    assert dict(paths(merge(template, {}))) == dict(template_paths(template))


@pytest.mark.parametrize("name", sorted(TEMPLATE.members))
def test_every_field_of_a_template_has_a_place_in_a_request(name):
    """A field that EC2 gets later must be looked at."""
    assert RENAMED.get(name, name) in REQUEST.members or name == "InstanceRequirements"


def test_tags_merge_by_key_and_devices_by_name():
    template = {
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "Owner", "Value": "a"}, {"Key": "Kept", "Value": "yes"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "Kept", "Value": "too"}]},
        ],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "Encrypted": True}},
            {"DeviceName": "/dev/xvdb", "Ebs": {"VolumeSize": 1}},
        ],
    }
    request = {
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Owner", "Value": "b"}]}],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20}},
            {"DeviceName": "/dev/xvdb", "NoDevice": ""},
        ],
    }
    assert merge(template, request) == {
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "Owner", "Value": "b"}, {"Key": "Kept", "Value": "yes"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "Kept", "Value": "too"}]},
        ],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "Encrypted": True}},
            {"DeviceName": "/dev/xvdb", "NoDevice": ""},
        ],
    }


def test_a_profile_by_its_name_takes_the_place_of_one_by_its_arn():
    assert merge({"IamInstanceProfile": {"Arn": "x"}}, {"IamInstanceProfile": {"Name": "y"}}) == {
        "IamInstanceProfile": {"Name": "y"}
    }


def test_a_device_that_one_layer_leaves_out_the_next_may_bring_back():
    first = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}]
    out = [{"DeviceName": "/dev/xvda", "NoDevice": ""}]
    back = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}}]
    assert merge_devices(first, out) == out
    assert merge_devices(first, out, back) == back
