from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_app.contract.paths import decode_segment, encoded_path


def environ(uri: str) -> dict[str, str]:
    """What Waitress makes of a request target: a path with its escapes undone, as latin-1."""
    return {"REQUEST_URI": uri, "PATH_INFO": unquote_to_bytes(uri.partition("?")[0]).decode("latin-1")}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_was_quoted_comes_back(text: str) -> None:
    path = encoded_path(environ(f"/users/{quote(text, safe='')}/balance?a=%2F"))
    start, users, segment, end = path.split("/")
    assert (start, users, end) == ("", "users", "balance")
    assert decode_segment(segment) == text


@given(st.binary(min_size=1))
def test_equal_paths_have_one_form(raw: bytes) -> None:
    all_escaped = "".join(f"%{byte:02x}" for byte in raw)
    assert encoded_path(environ(f"/{all_escaped}")) == encoded_path(environ(f"/{quote(raw, safe='')}"))


def test_bytes_that_are_not_utf_8_are_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_segment(encoded_path(environ("/%ff")).removeprefix("/"))


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/healthz", "/healthz"),
        ("/%68ealthz?x", "/healthz"),
        ("/a+b%2Bc", "/a+b+c"),
        ("http://host/a%20b", "/a%20b"),
        ("//users/%41", "/users/A"),
        ("/a%2Fb%25", "/a%2Fb%25"),
    ],
)
def test_forms(uri: str, path: str) -> None:
    assert encoded_path(environ(uri)) == path


def test_a_server_without_request_uri() -> None:
    assert encoded_path({"PATH_INFO": "/users/J\u00c3\u00bcrg"}) == "/users/J%C3%BCrg"
