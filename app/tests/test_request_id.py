import re
import string

from hypothesis import given
from hypothesis import strategies as st

from homeport_app.contract.request_id import RequestIds

_SIGNS = string.ascii_letters + string.digits + "._~+/=:@-"
_MADE = re.compile(r"[0-9a-f]{32}")

well_formed = st.tuples(st.sampled_from(string.ascii_letters + string.digits), st.text(_SIGNS, max_size=127)).map(
    "".join
)


@given(well_formed)
def test_a_well_formed_id_is_kept(sent: str) -> None:
    assert RequestIds().choose(sent) == sent


@given(st.one_of(st.none(), st.text()))
def test_anything_else_is_replaced(sent: str | None) -> None:
    chosen = RequestIds().choose(sent)
    if chosen == sent:
        assert 1 <= len(chosen) <= 128
        assert set(chosen) <= set(_SIGNS)
    else:
        assert _MADE.fullmatch(chosen)


@given(well_formed, st.characters(exclude_characters=_SIGNS), st.integers(min_value=0))
def test_one_wrong_character_is_enough(sent: str, wrong: str, place: int) -> None:
    at = place % (len(sent) + 1)
    assert _MADE.fullmatch(RequestIds().choose(sent[:at] + wrong + sent[at:]))


def test_too_long_or_empty_is_replaced() -> None:
    assert RequestIds().choose("a" * 128) == "a" * 128
    assert _MADE.fullmatch(RequestIds().choose("a" * 129))
    assert _MADE.fullmatch(RequestIds().choose(""))


def test_made_ids_differ_within_and_between_processes() -> None:
    one, other = RequestIds(), RequestIds()
    made = [ids.choose(None) for ids in (one, other) for _ in range(1000)]
    assert len(set(made)) == len(made)
