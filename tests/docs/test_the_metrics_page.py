"""docs/metrics.md names exactly the metrics that the roles tell, each under its role, with its kind and labels."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"
KINDS = {
    "Counter": "counter",
    "Gauge": "gauge",
    "Histogram": "histogram",
    "Summary": "summary",
    "CounterMetricFamily": "counter",
    "GaugeMetricFamily": "gauge",
}
# Whoever tells them, on the one port of the role.
ROLES = {"Gateway": ("apps/gateway",), "Worker": ("spendra/roles",)}
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n)*)", re.MULTILINE)
ROW = re.compile(r"^\| `(spendra_\w+)` \| (\w+) \| ((?:`\w+`(?:, )?)*) ?\|", re.MULTILINE)
NAME = re.compile(r"\bspendra_[a-z_]+[a-z]\b")


class Metric(NamedTuple):
    """As Prometheus reads it: counters end in _total."""

    name: str
    kind: str
    labels: tuple[str, ...]


def metrics_made(source: str) -> Iterator[Metric]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (kind := KINDS.get(_called(node.func))):
            match node.args:
                case [ast.Constant(value=str(name)), *rest] if name.startswith("spendra_"):
                    total = "_total" if kind == "counter" else ""
                    yield Metric(name.removesuffix("_total") + total, kind, _labels(rest, node.keywords))


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _labels(rest: list[ast.expr], keywords: list[ast.keyword]) -> tuple[str, ...]:
    """The third argument, or the one with its name."""
    given = [*rest[1:2], *(keyword.value for keyword in keywords if keyword.arg in ("labelnames", "labels"))]
    return tuple(ast.literal_eval(given[0])) if given else ()


def made_in(*folders: str) -> list[Metric]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return sorted(metric for path in paths for metric in metrics_made(path.read_text()))


def test_the_page_lists_every_metric_and_no_other() -> None:
    documented = [
        Metric(name, kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in ROW.findall(PAGE.read_text())
    ]
    assert sorted(documented) == made_in("apps", "spendra")


@pytest.mark.parametrize("role", ROLES)
def test_each_is_in_the_table_of_its_role(role: str) -> None:
    sections = dict(SECTION.findall(PAGE.read_text()))
    assert sorted(name for name, _, _ in ROW.findall(sections[role])) == [made.name for made in made_in(*ROLES[role])]


def test_no_page_names_a_metric_that_there_is_not() -> None:
    told = {name for made in made_in("apps", "spendra") for name in _series(made)}
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        assert set(NAME.findall(page.read_text())) <= told, page


def _series(made: Metric) -> Iterator[str]:
    yield made.name
    if made.kind == "histogram":
        yield from (made.name + part for part in ("_bucket", "_count", "_sum"))


def test_each_way_of_making_a_metric_is_seen() -> None:
    source = """
a = Counter("spendra_a", "A.", ["one", "two"])
b = prometheus_client.Gauge("spendra_b", "B.", labelnames=("one",))
c = Histogram("spendra_c_seconds", "C.", buckets=(1, 2))
d = CounterMetricFamily("spendra_d", "D.", labels=["one"])
e = Counter(word for word in words)
"""
    assert list(metrics_made(source)) == [
        Metric("spendra_a_total", "counter", ("one", "two")),
        Metric("spendra_b", "gauge", ("one",)),
        Metric("spendra_c_seconds", "histogram", ()),
        Metric("spendra_d_total", "counter", ("one",)),
    ]
