"""Write the tables of inputs and outputs into each module's README from its variables.tf and outputs.tf.

``python terraform/docs.py`` rewrites the tables, ``--check`` writes nothing and exits 1 when one is out of date.
Blocks are read as ``terraform fmt`` lays them out: a block's attributes are indented by two spaces.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDERS = ("modules/network", "modules/load_balancer", "modules/service", "platform", "bootstrap")
BEGIN = "<!-- tables: written by docs.py -->"
END = "<!-- end of tables -->"

BLOCK = re.compile(r'^(?:variable|output) "(?P<name>\w+)" \{\n(?P<body>.*?)^\}$', re.MULTILINE | re.DOTALL)
ATTRIBUTE = re.compile(r"^  (?P<name>\w+) += (?P<value>.*(?:\n(?:    .*|  [\]\})]+|))*)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A variable or an output with the source text of its attributes."""

    name: str
    attributes: dict[str, str]

    def text(self, attribute: str) -> str:
        """Return the attribute on one line, ready for a cell of a table."""
        lines = [re.sub(r" {2,}", " ", line.strip()) for line in self.attributes.get(attribute, "").splitlines()]
        value = re.sub(r"(?<=[\[{]),|,(?= [\]}])", "", ", ".join(line.rstrip(",") for line in lines if line))
        if attribute == "description":
            value = value.strip('"').replace("<", "&lt;")
        return value.replace("|", "\\|")


def blocks(source: str) -> list[Block]:
    """Return the variables and outputs of a file's text in their order."""
    return [
        Block(match["name"], {found["name"]: found["value"] for found in ATTRIBUTE.finditer(match["body"])})
        for match in BLOCK.finditer(source)
    ]


def tables(folder: Path) -> str:
    """Return the Markdown tables of the folder's inputs and outputs.

    Raises:
        ValueError: a variable or an output has no description, or a variable no type.
    """
    inputs = blocks((folder / "variables.tf").read_text())
    outputs = blocks((folder / "outputs.tf").read_text())
    for block in (*inputs, *outputs):
        if not block.text("description"):
            raise ValueError(f"{folder.name}: {block.name} has no description")
    for block in inputs:
        if not block.text("type"):
            raise ValueError(f"{folder.name}: {block.name} has no type")
    lines = ["## Inputs", "", "| name | meaning | type | default |", "|---|---|---|---|"]
    for block in inputs:
        default = f"`{block.text('default')}`" if "default" in block.attributes else "required"
        lines.append(f"| `{block.name}` | {block.text('description')} | `{block.text('type')}` | {default} |")
    lines += ["", "## Outputs", "", "| name | meaning |", "|---|---|"]
    lines += [f"| `{block.name}` | {block.text('description')} |" for block in outputs]
    return "\n".join(lines)


def updated(readme: str, table: str) -> str:
    """Return the README's text with the tables between the two markers replaced.

    Raises:
        ValueError: the markers are missing or in the wrong order.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the lines {BEGIN!r} and {END!r} are missing")
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"


def main(arguments: list[str] | None = None) -> int:
    """Update or check every README; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the tables of inputs and outputs into the READMEs.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a README is out of date")
    check: bool = parser.parse_args(arguments).check
    root = Path(__file__).resolve().parent
    stale = []
    for folder in FOLDERS:
        readme = root / folder / "README.md"
        before = readme.read_text()
        after = updated(before, tables(root / folder))
        if before != after:
            stale.append(f"terraform/{folder}/README.md")
            if not check:
                readme.write_text(after)
    for path in stale:
        sys.stdout.write(f"{path}: {'out of date, run: python terraform/docs.py' if check else 'updated'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
