"""docs/configuration.md names exactly what spendra/settings reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from spendra.settings.environment import REQUIRED_IN_PRODUCTION

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"
READERS = {"read", "read_list", "read_int", "read_networks"}
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (yes)? ?\|", re.MULTILINE)


def names_read(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _called(node.func) in READERS:
            match node.args[0]:
                case ast.Constant(value=str(name)):
                    yield name


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_page_lists_every_name_and_no_other() -> None:
    found = {name for path in (ROOT / "spendra" / "settings").glob("*.py") for name in names_read(path.read_text())}
    documented = [name for name, _ in ROW.findall(PAGE.read_text())]
    assert sorted(documented) == sorted(found | set(REQUIRED_IN_PRODUCTION))


def test_the_page_says_what_production_requires() -> None:
    required = {name for name, required in ROW.findall(PAGE.read_text()) if required}
    assert required == set(REQUIRED_IN_PRODUCTION)


def test_each_way_of_reading_a_name_is_seen() -> None:
    assert set(names_read('A = env.read("A") or read_list("B")\nC = env.read_int("C", 1, lowest=0, highest=2)')) == set(
        "ABC"
    )


def test_nothing_else_that_is_deployed_reads_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for room in ("apps", "spendra")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"os\.(environ\b(?!\.setdefault)|getenv)", path.read_text())
    }
    assert {name for name in readers if not name.startswith("spendra/development/")} == {
        "spendra/settings/environment.py",
        "apps/providers/credentials.py",
    }
