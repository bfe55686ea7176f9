from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from apps.budgets import retention
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import Invalid
from spendra.kernel.money import format_usd


class Command(JsonCommand):
    help = (
        "Archives and drops months of the ledger that are older than the retention, beside any traffic. What an "
        "interrupted run has left is gone on with."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--months",
            type=int,
            default=settings.RETENTION_MONTHS,
            help="Whole months to keep beside the running one; SPENDRA_RETENTION_MONTHS where left out.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would go; change nothing.")

    def perform(self, **options: Any) -> dict[str, object]:
        if options["months"] is None:
            raise Invalid(
                "Everything is kept: SPENDRA_RETENTION_MONTHS is not set, nor --months given.", param="months"
            )
        done = retention.apply(
            months=options["months"], acting="command:retention_apply", is_dry_run=options["dry_run"]
        )
        return {"months": [_told(month) for month in done]}

    def describe(self, result: Any) -> str:
        return "\n".join(map(_line, result["months"])) or "Nothing is older than the retention."


def _told(done: retention.Month) -> dict[str, object]:
    told: dict[str, object] = {"month": f"{done.month:%Y-%m}", "state": done.state, "why": done.why}
    if done.sums:
        told |= {
            "entries": done.sums.entries,
            "nanos": str(done.sums.nanos),
            "tokens": done.sums.tokens,
            "requests": done.sums.requests,
        }
    return told


def _line(told: dict[str, Any]) -> str:
    sums = f", {told['entries']} entries of {format_usd(int(told['nanos']))} USD" if "entries" in told else ""
    return f"{told['month']}  {told['state']}{sums}{': ' if told['why'] else ''}{told['why']}"
