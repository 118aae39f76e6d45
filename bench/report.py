"""Tables in Markdown, readable as they are."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Figures with a heading each; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Return the table, its columns padded."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]

        def row(cells: Sequence[str]) -> str:
            padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
            return f"| {' | '.join(padded)} |"

        rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
        parts = [f"**{self.title}**", "", row(self.columns), f"|{rule}|", *map(row, self.rows)]
        return "\n".join([*parts, *(["", self.note] if self.note else [])])


def seconds(value: float | None) -> str:
    """Return a duration for a cell, a dash for none."""
    return "-" if value is None else f"{value:.1f}"


def median_and_worst(values: Sequence[float], digits: int = 1) -> tuple[str, str]:
    """Return the two cells."""
    return f"{statistics.median(values):.{digits}f}", f"{max(values):.{digits}f}"
