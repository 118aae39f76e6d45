"""Puts the figures between the README's two markers."""

from collections.abc import Sequence
from pathlib import Path

from bench.commands import ROOT, CommandError
from bench.report import Table

BEGIN = "<!-- figures:begin -->"
END = "<!-- figures:end -->"


def write(conditions: str, tables: Sequence[Table], file: Path = ROOT / "README.md") -> Path:
    """Replace what stands between the markers; raises ``CommandError`` where there are none."""
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CommandError(f"{file} has no line {BEGIN} followed by {END}: add both where the figures belong")
    body = "\n\n".join([f"Measured by `make bench` on {conditions}.", *(table.markdown() for table in tables)])
    file.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")
    return file
