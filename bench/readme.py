"""Puts the figures between the README's two markers."""

from collections.abc import Sequence
from pathlib import Path

from bench.commands import ROOT, CommandError
from bench.report import Table


def write(conditions: str, tables: Sequence[Table], what: str, file: Path = ROOT / "README.md") -> Path:
    """Replace what stands between the markers ``what``; raises ``CommandError`` where there are none."""
    opening, closing = f"<!-- {what}:begin -->", f"<!-- {what}:end -->"
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise CommandError(f"{file} has no line {opening} followed by {closing}: add both where the figures belong")
    command = "make bench" if what == "figures" else f"python -m bench {what}"
    body = "\n\n".join([f"Measured by `{command}` on {conditions}.", *(table.markdown() for table in tables)])
    file.write_text(f"{before}{opening}\n\n{body}\n\n{closing}{after}", encoding="utf-8")
    return file
