from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from apps.budgets import quarantining
from apps.budgets.verifying import verify
from spendra.kernel.commands import JsonCommand

_REPORT_EACH = 1_000_000


class Command(JsonCommand):
    help = (
        "Proves that periods, reservations and ledger entries agree; may run beside any traffic. Rows that can't "
        "change any more are proved once: a run goes on where the last one stopped, interrupted or not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--full", action="store_true", help="Forget what was proved; begin with the first row.")

    def perform(self, **options: Any) -> dict[str, Any]:
        self._proved: Counter[str] = Counter()
        differences = [asdict(difference) for difference in verify(full=options["full"], progress=self._count)]
        self._report()
        return {
            "is_clean": not differences,
            "differences": differences,
            "quarantined": len(quarantining.waiting()),
        }

    def describe(self, result: Any) -> str:
        lines = [
            f"{row['check']}  {row['object_id']}  is {row['found']}, should be {row['expected']}"
            for row in result["differences"]
        ]
        lines = lines or ["The books are right: periods, reservations and entries agree."]
        if result["quarantined"]:
            lines.append(f"Warning: {quarantining.in_words(result['quarantined'])}")
        return "\n".join(lines)

    def failures(self, result: Any) -> Sequence[str]:
        count = len(result["differences"])
        return [f"{count} rows differ."] if count else []

    def _count(self, walk: str, rows: int) -> None:
        before = self._proved.total()
        self._proved[walk] += rows
        if self._proved.total() // _REPORT_EACH > before // _REPORT_EACH:
            self._report()

    def _report(self) -> None:
        counts = ", ".join(f"{walk} {rows:,}" for walk, rows in self._proved.items())
        self.stderr.write(f"Rows read: {counts or 'none'}", style_func=str)
