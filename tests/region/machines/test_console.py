import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.region.machines import console


def test_an_absent_console_has_no_lines(tmp_path):
    assert console.last_lines(tmp_path, 5) == []


@pytest.mark.parametrize("count", [0, 1, 3, 10_000])
def test_the_last_lines_are_read(tmp_path, count):
    lines = [f"line {number} {'x' * 30}" for number in range(10_000)]
    (tmp_path / console.NAME).write_text("\n".join(lines) + "\n")
    assert console.last_lines(tmp_path, count) == (lines[-count:] if count else [])


@settings(deadline=None)
@given(st.lists(st.text("ab", max_size=5), max_size=12), st.integers(1, 12), st.integers(1, 9))
def test_blocks_may_end_anywhere(tmp_path_factory, lines, count, block):
    folder = tmp_path_factory.mktemp("console")
    (folder / console.NAME).write_text("".join(f"{line}\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "_BLOCK", block)
        assert console.last_lines(folder, count) == lines[-count:]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=40), max_size=20))
def test_short_consoles_are_read_whole(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("console")
    (folder / console.NAME).write_text("".join(f"{line}\n" for line in lines))
    assert console.last_lines(folder, 100) == lines


def test_a_line_that_cannot_be_written_is_logged_instead(tmp_path, caplog):
    console.note(tmp_path / "absent", "ended by itself")
    assert "ended by itself" in caplog.text


def test_a_console_that_grew_too_large_keeps_its_end(tmp_path):
    console.note(tmp_path, "first")
    for number in range(200):
        console.note(tmp_path, f"note {number}")
    size = (tmp_path / console.NAME).stat().st_size
    console.trim(tmp_path, limit=size, kept=200)
    assert (tmp_path / console.NAME).stat().st_size == size
    console.trim(tmp_path, limit=size - 1, kept=200)
    lines = console.last_lines(tmp_path, 100)
    assert "its beginning was dropped" in lines[0]
    assert lines[-1].endswith("note 199")
    assert all("homeport: " in line for line in lines)
    assert (tmp_path / console.NAME).stat().st_size < 400
