from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from spendra.kernel.commands import JsonCommand
from spendra.management import database_checks


class Command(JsonCommand):
    help = "Checks that the database can keep Spendra's promises, with a reserve and settle that it rolls back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--gateway-processes", type=int, default=2, metavar="N", help="Replicas times processes: 2 where not said."
        )

    def perform(self, **options: Any) -> dict[str, object]:
        findings = list(database_checks.run_all(gateway_processes=options["gateway_processes"]))
        return {
            "ok": all(finding.status != "failed" for finding in findings),
            "checks": [asdict(finding) for finding in findings],
        }

    def describe(self, result: dict[str, Any]) -> str:
        return "\n".join(f"{found['status']:8} {found['check']}: {found['says']}" for found in result["checks"])

    def failures(self, result: dict[str, Any]) -> list[str]:
        return [f"{found['check']}: {found['says']}" for found in result["checks"] if found["status"] == "failed"]
