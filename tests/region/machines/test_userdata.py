import base64
import contextlib
import gzip

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.region.machines.process import userdata

GOOD = """#cloud-config
write_files:
  - path: /etc/homeport/service.env
    content: |
      # the service
      HOMEPORT_SERVICE=balance
      HOMEPORT_PORT=8080
"""
SETTINGS = {"HOMEPORT_SERVICE": "balance", "HOMEPORT_PORT": "8080"}


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        base64.b64encode(GOOD.encode()).decode(),
        base64.encodebytes(GOOD.encode()).decode().replace("\n", ""),
        base64.b64encode(gzip.compress(GOOD.encode())).decode(),
        GOOD.replace("\n", "\r\n"),
    ],
)
def test_settings_come_plain_or_as_the_api_takes_them(text):
    assert userdata.parse(text) == userdata.UserData(SETTINGS)


def test_nothing_asks_for_nothing():
    for text in ("", "  \n", "#cloud-config\n", "#cloud-config\nwrite_files: []\n", "#cloud-config\nwrite_files:\n"):
        assert userdata.parse(text) == userdata.UserData({})


def test_what_has_no_effect_is_named():
    text = GOOD + "  - path: /etc/motd\n    content: hello\nruncmd: [reboot]\n"
    assert userdata.parse(text) == userdata.UserData(SETTINGS, ("runcmd", "/etc/motd"))


def test_a_later_entry_replaces_or_appends():
    again = "  - {path: /etc/homeport/service.env, content: 'A=1', append: true}\n"
    assert userdata.parse(GOOD + again).settings == {**SETTINGS, "A": "1"}
    assert userdata.parse(GOOD + again.replace("true", "false")).settings == {"A": "1"}


def test_content_may_be_base64():
    content = base64.b64encode(b"A=1").decode()
    text = f"#cloud-config\nwrite_files: [{{path: /etc/homeport/service.env, encoding: b64, content: {content}}}]\n"
    assert userdata.parse(text).settings == {"A": "1"}


ENTRY = "#cloud-config\nwrite_files:\n  - path: /etc/homeport/service.env\n    "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\nreboot\n", "does not begin with the line #cloud-config"),
        ("hello", "does not begin with"),
        ("#cloud-config-archive\n[]", "does not begin with"),
        ("#cloud-config\na: [", "not YAML.*line 2"),
        ("#cloud-config\n- a\n", "must be a mapping"),
        ("#cloud-config\nwrite_files: x\n", "write_files must be a list"),
        ("#cloud-config\nwrite_files: [x]\n", r"write_files\[0\] must be a mapping"),
        ("#cloud-config\na: !!python/object/apply:os.system [id]\n", "not YAML"),
        (ENTRY + "content: 3\n", "must be text"),
        (ENTRY + "encoding: gzip\n", "encoding must be"),
        (ENTRY + "encoding: b64\n    content: 'é'\n", "not base64"),
        (ENTRY + "content: |\n      A=1\n      B\n", "line 2: expected NAME=value"),
        (ENTRY + "content: 'A-B=1'\n", "line 1: expected"),
        (ENTRY + "content: |\n      A='x\n", "line 1: the quotes"),
        (ENTRY + 'content: "A=x\\0y"\n', "zero byte"),
    ],
)
def test_bad_user_data_is_told_with_its_place(text, message):
    with pytest.raises(HomeportError, match=message):
        userdata.parse(text)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=", ""),
        ("A=x y", "x y"),
        ("A = x", "x"),
        ('A="x y"', "x y"),
        ("A='x # y'", "x # y"),
        ("A=x#y", "x#y"),
        ('A="say \\"x\\""', 'say "x"'),
        ('A={"alice": 3}', '{"alice": 3}'),
        ("A=b=c", "b=c"),
        ("; c\n\nA=1", "1"),
    ],
)
def test_environment_files_are_read_as_systemd_does(line, value):
    assert userdata.parse_environment(line) == {"A": value}


@settings(deadline=None)
@given(st.sampled_from(["", "#cloud-config\n", "#cloud-config\nwrite_files: ", ENTRY + "content: "]), st.text())
@example("#cloud-config\n", "a: 2026-99-99")
@example("#cloud-config\n", "[" * 5000)
def test_any_text_is_either_read_or_refused(beginning, text):
    with contextlib.suppress(HomeportError):
        assert isinstance(userdata.parse(beginning + text), userdata.UserData)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_in_base64_are_either_read_or_refused(raw):
    with contextlib.suppress(HomeportError):
        userdata.parse(base64.b64encode(raw).decode())
