import copy
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.catalogue import load_catalogue
from homeport.errors import HomeportError

ROOT = Path(__file__).resolve().parents[2]

GOOD = """\
services:
  balance:
    description: Tocos per user
    port: 8101
    exposure: public
    paths: ["/users/*"]
    capacity: {min: 3, max: 6}
    scaling: {requests_per_target: 1000}
    tables: []
    queues: []
    objectives: {availability_percent: 99.9, latency_p99_ms: 250}
"""


def test_the_repository_s_own_catalogue_is_valid():
    assert "balance" in load_catalogue(ROOT / "app" / "services.yaml")


def test_reads_a_service(tmp_path):
    (tmp_path / "services.yaml").write_text(GOOD)
    balance = load_catalogue(tmp_path / "services.yaml")["balance"]
    assert (balance.port, balance.exposure, balance.capacity.max) == (8101, "public", 6)


@pytest.mark.parametrize(
    ("old", "new", "line", "rule"),
    [
        ("port: 8101", "port: 80", 4, "port"),
        ("port: 8101", "port: eighty", 4, "port"),
        ("port: 8101", "prot: 8101", 3, "prot"),
        ("exposure: public", "exposure: everybody", 5, "exposure"),
        ("min: 3, max: 6", "min: 7, max: 6", 7, "min must not be above max"),
        ("min: 3, max: 6", "min: -1, max: 6", 7, "capacity.min"),
        ('["/users/*"]', '["users"]', 6, "paths"),
        ('["/users/*"]', "[]", 3, "needs paths"),
        ("    tables: []", "    tables: []\n    port: 1", 10, "twice"),
        ("  balance:", "  Balance_1:", 3, "a name is"),
        ("services:", "service:", 1, "one key, services"),
        ("paths: [", "paths: [[", 7, "not YAML"),
        ("    objectives:", "    objective:", 3, "objective"),
    ],
)
def test_a_fault_names_line_and_rule(tmp_path, old, new, line, rule):
    assert old in GOOD
    path = tmp_path / "services.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(HomeportError) as caught:
        load_catalogue(path)
    assert f"line {line}:" in caught.value.message
    assert rule in caught.value.message
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("old", "new", "line", "rule"),
    [
        ("port: 8101", "port: !!int eighty", 4, "eighty is no int"),
        ("port: 8101", "port: !!bool maybe", 4, "maybe is no bool"),
        ("Tocos per user", "2026-13-45", 3, "2026-13-45 is no timestamp"),
        ("port: 8101", "? [a, b]\n    : 8101", 4, "a key is one word"),
        ("tables: []", "tables: &all [*all, !!float x]", 9, "x is no float"),
        ("scaling: {", "scaling: &loop {a: *loop, ", 1, "holds itself"),
        ("min: 3", "min: " + "9" * 5000, 7, "is no int"),
    ],
)
def test_what_a_type_refuses_is_told_with_its_line(tmp_path, old, new, line, rule):
    assert old in GOOD
    path = tmp_path / "services.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(HomeportError) as caught:
        load_catalogue(path)
    assert f"line {line}:" in caught.value.message
    assert rule in caught.value.message


@given(data=st.data())
def test_no_text_is_too_odd(data, tmp_path_factory):
    text = list(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(
            st.sampled_from([*"{}[]:,&*!|>'\"%@`#-?<~=\n 0a", ""])
        )
    path = tmp_path_factory.mktemp("odd") / "services.yaml"
    path.write_text("".join(text))
    try:
        load_catalogue(path)
    except HomeportError as error:
        assert re.search(r", line \d+: ", error.message)  # noqa: PT017  what is valid still is no fault


def test_a_folder_is_no_catalogue(tmp_path):
    with pytest.raises(HomeportError, match="cannot be read: Is a directory"):
        load_catalogue(tmp_path)


def test_two_services_cannot_share_a_port(tmp_path):
    entries = yaml.safe_load(GOOD)
    entries["services"]["orders"] = copy.deepcopy(entries["services"]["balance"])
    path = tmp_path / "services.yaml"
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    with pytest.raises(HomeportError, match=r"orders\.port: 8101 is the port of balance already"):
        load_catalogue(path)


@pytest.mark.parametrize("text", ["", "[]", "services: 3", "services: {}", "\x00", "a: b: c"])
def test_what_is_no_catalogue_is_refused(tmp_path, text):
    path = tmp_path / "services.yaml"
    path.write_text(text)
    with pytest.raises(HomeportError, match=r"line \d+"):
        load_catalogue(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HomeportError, match="is missing"):
        load_catalogue(tmp_path / "services.yaml")
