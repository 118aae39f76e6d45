"""No value that comes from the API can say anything else to HAProxy than itself."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from balancing import GROUP, Place
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.region.clock import Clock
from homeport.region.haproxy.balancers import folder_name
from homeport.region.haproxy.config import render
from homeport.region.haproxy.model import Condition, FixedResponse, Forward, Redirect, Rule
from homeport.region.haproxy.quoting import quoted, url_text, wildcard_regex

CLOCK = Clock()
NASTY = (
    "x\nfrontend evil\n    bind 127.0.0.1:1",
    "' if { src 0.0.0.0/0 }",
    '" # \\',
    "%[env(HOME)]%{+Q}o",
    "$HOME ${HOME}",
    "a b\tc",
    "*" * 100,
    "é\u2028\x00",
    "-f /etc/passwd",
    "}",
)
text = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=60),
    st.text(alphabet="'\"\\ \n\t#{}[]()%$,;*?-|&^.:/ab1", max_size=40),
)
FIELDS = [
    lambda value: Rule("r", 1, (Condition("path-pattern", (value,)),), FixedResponse(200)),
    lambda value: Rule("r", 1, (Condition("host-header", (value,)),), FixedResponse(200)),
    lambda value: Rule("r", 1, (Condition("http-header", (value,), header="x"),), FixedResponse(200)),
    lambda value: Rule("r", 1, (Condition("http-header", ("x",), header=value),), FixedResponse(200)),
    lambda value: Rule("r", 1, (Condition("http-request-method", (value,)),), FixedResponse(200)),
    lambda value: Rule("r", 1, (Condition("query-string", (), query=((value, value),)),), FixedResponse(200)),
    lambda value: Rule("r", 1, (Condition("source-ip", (value,)),), FixedResponse(200)),
    lambda value: Rule("r", 1, (), FixedResponse(200, "text/plain", value)),
    lambda value: Rule("r", 1, (), FixedResponse(200, value, "body")),
    lambda value: Rule("r", 1, (), Redirect(301, host=value, path="/" + value, query=value + "=1")),
    lambda value: Rule("r", 1, (), Redirect(301, protocol=value, port=value)),
    lambda value: Rule("r", 1, (), Forward(((value, 1), (GROUP, 1)))),
]
GROUP_FIELDS = [
    lambda value: {"check": {"path": "/" + value}},
    lambda value: {"check": {"matcher": value}},
    lambda value: {"check": {"port": value}},
    lambda value: {"stickiness_type": "app_cookie", "stickiness_cookie": value},
    lambda value: {"algorithm": value},
]


@pytest.fixture(scope="module")
def place():
    return Place()


def words(line):
    """Read a line as the configuration manual says (2.2): the words, without their quotes."""
    found = re.findall(r"(?:'[^']*'|\\.|[^\s'\\])+", line)
    assert "".join(found) == re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", line)
    return found


def shape(rendered):
    """Return what stays the same whatever the values say: lines, and the number of words in each."""
    return [(len(words(line)), words(line)[:1]) for line in rendered.text.splitlines()]


def accepted(rendered, folder):
    for name, content in rendered.files.items():
        (folder / name).write_bytes(content)
    (folder / "servers.state").touch()
    (folder / "haproxy.cfg").write_text(rendered.text)
    result = subprocess.run(
        [shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/usr/bin"), "-c", "-f", "haproxy.cfg"],
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stderr}\n{rendered.text}"


def balancers(place, value, number):
    if number < len(FIELDS):
        return place.load_balancer(rules=[FIELDS[number](value)])
    return place.load_balancer(**GROUP_FIELDS[number - len(FIELDS)](value))


@pytest.mark.parametrize("number", range(len(FIELDS) + len(GROUP_FIELDS)))
@given(value=text)
@settings(max_examples=60, deadline=None)
def test_a_value_adds_no_line_and_no_word(place, number, value):
    try:
        rendered = render(balancers(place, value, number), CLOCK)
    except HomeportError:
        return
    usual = next(
        shape(render(balancers(place, harmless, number), CLOCK))
        for harmless in ("a", "200", "GET", "10.0.0.0/8", "text/plain", "https", "round_robin")
        if rendered_or_none(place, harmless, number) is not None
    )
    assert shape(rendered) == usual


def rendered_or_none(place, value, number):
    try:
        return render(balancers(place, value, number), CLOCK)
    except HomeportError:
        return None


@given(values=st.lists(text, min_size=len(FIELDS), max_size=len(FIELDS)))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(values=[NASTY[0]] * len(FIELDS))
@example(values=[NASTY[1]] * len(FIELDS))
@example(values=[NASTY[2]] * len(FIELDS))
@example(values=[NASTY[3]] * len(FIELDS))
@example(values=[NASTY[4]] * len(FIELDS))
@example(values=[NASTY[8]] * len(FIELDS))
def test_haproxy_accepts_whatever_is_rendered(place, tmp_path, values):
    if shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/usr/bin") is None:
        pytest.skip("haproxy is not installed: its own judgement is missing")
    rules = []
    for number, value in enumerate(values):
        if rendered_or_none(place, value, number) is not None:
            rules.append(replace(FIELDS[number](value), priority=number))
    accepted(render(place.load_balancer(rules=rules), CLOCK), tmp_path)


@given(pattern=st.text(alphabet="ab*?.\\'é/", max_size=8), value=st.text(alphabet="ab.\\'é/", max_size=8))
@settings(max_examples=300)
def test_wildcards_match_as_aws_describes_them(pattern, value):
    def matches(pattern, value):
        if not pattern:
            return not value
        if pattern[0] == "*":
            return any(matches(pattern[1:].lstrip("*"), value[start:]) for start in range(len(value) + 1))
        return bool(value) and pattern[0] in (value[0], "?") and matches(pattern[1:], value[1:])

    # The question mark takes a byte, as HAProxy's expressions do: compare in Latin-1.
    expression = wildcard_regex(pattern).encode()
    if not (pattern + value).isascii() and "?" in pattern:
        return
    assert bool(re.fullmatch(expression, value.encode())) == matches(pattern, value)


def test_a_backslash_takes_the_meaning_off_a_wildcard_where_aws_says_so():
    assert wildcard_regex("a\\*b\\", escapes=True) == "a\\x2ab\\x5c"


@given(value=text)
def test_what_is_quoted_is_one_word(value):
    try:
        word = quoted(value)
    except HomeportError:
        assert re.search(r"[\x00-\x1f\x7f]", value)
        return
    # What HAProxy reads: quotes join, and outside of them a backslash protects the next character.
    read = re.sub(r"'([^']*)'|\\(.)", lambda part: part[1] if part[1] is not None else part[2], word)
    assert read == value
    assert re.fullmatch(r"(?:'[^']*'|\\.)+", word)


@given(value=st.text(max_size=40))
def test_a_url_holds_no_blank_quote_or_control_character(value):
    assert not re.search(r"[\x00-\x20'\"\\\x7f-\U0010ffff]", url_text(value))


def test_a_speed_factor_shortens_intervals_and_never_timeouts(place):
    load_balancer = place.load_balancer([place.dead_target()], check={"interval": 30, "timeout": 5})
    fast = render(load_balancer, Clock(100)).text
    assert "check inter 300 " in fast
    assert "timeout check 5000" in fast
    assert "timeout client 60s" in fast


def test_only_server_lines_can_change_without_a_reload(place):
    target = place.dead_target()
    one = render(place.load_balancer([target]), CLOCK)
    other = render(place.load_balancer([replace(target, target_id="i-2"), target]), CLOCK)
    assert one.text != other.text
    assert one.skeleton == other.skeleton
    slower = render(place.load_balancer([target], check={"interval": 31}), CLOCK)
    assert slower.skeleton != one.skeleton


def test_the_folder_is_named_by_the_balancer_and_its_id():
    arn = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/main/50dc"
    assert folder_name(arn) == "main-50dc"
    assert "/" not in folder_name("arn:x:loadbalancer/app/../..")
