import unicodedata
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from instance import Instance

_FORBIDDEN = ("Cc", "Zl", "Zp")
_KNOWN = {"alice": 7, "J\u00fcrg/x": 8}


def ask(balance: Instance, user: str) -> httpx.Response:
    return httpx.get(f"{balance.url}/users/{quote(user, safe='')}/balance")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=70))
def test_any_user_is_answered_or_refused(balance: Instance, user: str) -> None:
    connection = balance.connect()
    connection.send(f"/users/{quote(user, safe='')}/balance")
    answer = connection.receive()
    connection.close()
    if len(user) <= 64 and not any(unicodedata.category(sign) in _FORBIDDEN for sign in user):
        assert answer.status_code == 200
        assert answer.json() == {"user": user, "tocos": _KNOWN.get(user, 100)}
    else:
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("user: A user's name: 1 to 64 characters")


def test_a_known_user_has_its_own_balance(balance: Instance) -> None:
    assert ask(balance, "alice").json() == {"user": "alice", "tocos": 7}
    assert ask(balance, "J\u00fcrg/x").json() == {"user": "J\u00fcrg/x", "tocos": 8}
    assert ask(balance, "bob").json() == {"user": "bob", "tocos": 100}


@pytest.mark.parametrize("user", ["a\n", "\n", "\x00", "a\x7f", "\x9f", "\u2028"])
def test_control_characters_are_refused_wherever_they_stand(balance: Instance, user: str) -> None:
    assert ask(balance, user).status_code == 422


def test_a_name_that_is_not_utf_8_is_refused(balance: Instance) -> None:
    connection = balance.connect()
    connection.send("/users/%ff/balance")
    answer = connection.receive()
    assert answer.status_code == 400
    assert answer.json()["detail"] == "user: the path is not valid UTF-8."
    connection.send("/users/\xff/balance")  # a byte that should have been escaped: Waitress refuses it
    answer = connection.receive()
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Bad Request: Bad URI."
    connection.close()


def test_the_length_is_in_characters_not_bytes(balance: Instance) -> None:
    assert ask(balance, "\U0001f600" * 64).status_code == 200
    assert ask(balance, "\U0001f600" * 65).status_code == 422


@pytest.mark.parametrize("path", ["/users//balance", "/users/a/b/balance", "/users/a", "/users/a/balance/"])
def test_other_paths_are_unknown(balance: Instance, path: str) -> None:
    assert httpx.get(f"{balance.url}{path}").status_code == 404
