"""What a ledger costs to keep and to ask is measured by what runs, and a year of it is computed from that."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench import past, report, scale, spendra_target
from bench.__main__ import canned_upstream

TABLE = {"rows": 1_000, "heap": 500_000, "indexes": 100_000}
SEEN: dict[str, Any] = {
    "tables": dict.fromkeys(("budgets_reservation", "ledger_ledgerentry", "ledger_spendevent"), TABLE)
}


def test_a_year_is_what_a_request_costs_times_its_requests() -> None:
    results = scale.Results(SEEN)
    assert (results.requests, results.rows_a_request(), results.bytes_a_request("heap", "indexes")) == (1_000, 3, 1_800)
    assert "| 10 | 315.4 million | 946 million | 567.6 | 47.3 |" in results.year()


def test_a_section_is_written_between_its_markers_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- year -->\nold\n<!-- end of year -->\nafter\n")
    report.put_into_document("year", "new", document=page)
    assert page.read_text() == "before\n<!-- year -->\n\nnew\n\n<!-- end of year -->\nafter\n"
    with pytest.raises(ValueError, match="no section"):
        report.put_into_document("tables", "new", document=page)


@pytest.mark.parametrize(("document", "sections"), [
    (report.DOCUMENT, ("results", "history", "rules")),
    (report.SCALE_DOCUMENT, scale.SECTIONS),
])  # fmt: skip
def test_pages_have_the_sections_that_are_written(document: Path, sections: tuple[str, ...]) -> None:
    page = document.read_text()
    for name in sections:
        assert page.count(f"<!-- {name} -->") == page.count(f"<!-- end of {name} -->") == 1, name


@pytest.mark.system
@pytest.mark.timeout(300)  # a minute of it until the last entry can be archived
def test_everything_is_measured_on_a_ledger_with_a_past(tmp_path: Path) -> None:
    with spendra_target.fresh_database(tmp_path) as database, canned_upstream() as upstream:
        keys = spendra_target.populate(database, with_rules=False)["spread"]
        with spendra_target.gateway(tmp_path, database, upstream) as target:
            dataclasses.replace(target, keys=tuple(keys)).measure(connections=len(keys), seconds=1, warmup=0)
        past.add(database.url, entries=3_000)
        measuring = ("bench.scale_measuring", "--organization", scale.ORGANIZATION)
        seen = spendra_target.run_module(*measuring, database_url=database.url, role="dashboard")
    assert {table["rows"] for table in seen["tables"].values()} == {seen["tables"]["budgets_reservation"]["rows"]}
    assert all(table["rows"] > 0 for table in seen["rollups"].values())
    assert all(row["ms"] > 0 for row in seen["questions"] + seen["pages"])
    assert scale.READS_WHAT_IS_NEW in seen["jobs"]
    assert set(scale.Results(seen).sections()) == set(scale.SECTIONS)
