"""What the documents say is there, and the generated one is what the generator writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import uv
from typer.main import get_command

from homeport.cli import app

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"collections", ".venv", ".git", ".terraform", "node_modules", ".pytest_cache", ".hypothesis"}


def documents(folder):
    """Return the Markdown files of the repository, without what tools have put beside them."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in NOT_OURS:
            yield from documents(path)
        elif path.suffix == ".md":
            yield path


DOCUMENTS = list(documents(ROOT))
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
DECISIONS = ROOT / "docs" / "decisions"


def name(path):
    return str(path.relative_to(ROOT))


def without_code(text):
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """Return the anchors that GitHub gives a document's headings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_relative_links_lead_somewhere(document):
    broken = []
    for target in LINK.findall(without_code(document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert not broken, f"{name(document)} links to what is not there: {', '.join(broken)}"


def test_the_index_of_decisions_is_complete():
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \|", index, re.MULTILINE)
    there = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [file for _, file in listed] == there
    assert all(file.startswith(f"{number}-") for number, file in listed)


@pytest.mark.parametrize("decision", sorted(DECISIONS.glob("[0-9]*.md")), ids=name)
def test_decisions_have_their_parts(decision):
    text = decision.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(decision.name[:4])}. ")
    assert re.search(r"^Status: \w+", text, re.MULTILINE)
    for part in ("Context", "Decision", "Rejected", "Consequences"):
        assert re.search(rf"^## {part}$", text, re.MULTILINE), part
    assert len(text.splitlines()) <= 60, "a decision has a page"


def test_commands_that_the_documents_name_exist():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    root = get_command(app)
    known = set(root.commands) | {
        f"{group} {sub}" for group in ("region", "image") for sub in root.commands[group].commands
    }
    wrong = []
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]:
        code = "\n".join(
            re.findall(r"^```.*?^```$|`[^`\n]+`", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        )
        wrong += [
            f"{name(document)}: make {t}" for t in re.findall(r"\bmake ([a-z][a-z0-9-]*)", code) if t not in targets
        ]
        for command, sub in re.findall(r"(?:^|[\s`(/])homeport ([a-z]+)(?: ([a-z]+))?", code):
            called = f"{command} {sub}" if command in ("region", "image") else command
            if called.strip() not in known:
                wrong.append(f"{name(document)}: homeport {called}")
    assert not wrong, wrong


def test_settings_are_what_the_generator_writes(tmp_path):
    # In an environment of its own: the region's lacks what the services are shipped with.
    python = tmp_path / "venv" / "bin" / "python"
    command = [uv.find_uv_bin(), "-q"]
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    subprocess.run([*command, "venv", "--python", sys.executable, python.parents[1]], check=True, env=environment)
    sync = [*command, "pip", "sync", "--python", python, "--require-hashes", ROOT / "app" / "requirements.lock"]
    subprocess.run(sync, check=True, env=environment)
    written = subprocess.run(
        [python, "-m", "homeport_app", "settings"],
        env={"PYTHONPATH": str(ROOT / "app" / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kept = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert kept == written, "docs/settings.md is old: CONTRIBUTING.md has the command that writes it"
