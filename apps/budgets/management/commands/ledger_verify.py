from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from apps.budgets.verifying import verify
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Proves that periods, reservations and ledger entries agree; may run beside any traffic."

    def perform(self, **options: Any) -> dict[str, Any]:
        differences = [asdict(difference) for difference in verify()]
        return {"is_clean": not differences, "differences": differences}

    def describe(self, result: Any) -> str:
        lines = [
            f"{row['check']}  {row['object_id']}  is {row['found']}, should be {row['expected']}"
            for row in result["differences"]
        ]
        return "\n".join(lines or ["The books are right: periods, reservations and entries agree."])

    def failures(self, result: Any) -> Sequence[str]:
        count = len(result["differences"])
        return [f"{count} rows differ."] if count else []
