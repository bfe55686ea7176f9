"""Links, paths and commands in the pages of this repository lead somewhere."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#([\w-]+))?\)")
PATH = re.compile(r"`((?:apps|spendra|tests|bench|docs|deploy|templates|static)/[\w./-]*)`")
COMMAND_ROW = re.compile(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", re.MULTILINE)


def pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if (ROOT / name).exists()]


def anchors(page: Path) -> Iterator[str]:
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", pages())
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    page = ROOT / name
    for target, anchor in LINK.findall(page.read_text()):
        linked = page.parent / target
        assert linked.exists(), f"{name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{name} links to {target}#{anchor}"


@pytest.mark.parametrize("name", pages())
def test_every_path_exists(name: str) -> None:
    for path in PATH.findall((ROOT / name).read_text()):
        assert (ROOT / path).exists(), f"{name} names {path}"


def test_the_readme_names_every_command_of_ours_and_no_other() -> None:
    rows = COMMAND_ROW.findall((ROOT / "README.md").read_text())
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert {"gateway", "demo", "ledger_verify"} <= named
    ours = {name for name, room in get_commands().items() if str(room).startswith(("apps.", "spendra"))}
    assert named == ours


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
