from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.audit.models import INSTALLATION
from apps.audit.verifying import Head, heads, verify
from apps.orgs.models import Organization
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand
from spendra.kernel.proofs import Difference


class Command(JsonCommand):
    help = "Proves that no audit record was changed, removed, added or moved; may run beside any traffic."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", help="Only the records of this organization.")

    def perform(self, **options: Any) -> dict[str, Any]:
        slug = options["organization"]
        wanted = None if slug is None else [organization_by_slug(slug).id]
        differences = [asdict(difference) for difference in verify(wanted)]
        names = {INSTALLATION: None, **dict(Organization.objects.values_list("id", "slug"))}
        chains = [_told(head, names) for head in heads(wanted)]
        return {"is_whole": not differences, "chains": chains, "differences": differences}

    def describe(self, result: Any) -> str:
        lines = [str(Difference(**row)) for row in result["differences"]]
        records = sum(chain["records"] for chain in result["chains"])
        vouched = sum(chain["records_under_checkpoint"] for chain in result["chains"])
        whole = f"The audit chain is whole: {records} records, {vouched} of them under a signed checkpoint."
        return "\n".join(lines or [whole])

    def failures(self, result: Any) -> Sequence[str]:
        count = len(result["differences"])
        return [f"{count} rows differ."] if count else []


def _told(head: Head, names: dict[UUID, str | None]) -> dict[str, object]:
    return {
        "organization": names.get(head.chain_id, str(head.chain_id)),
        "records": head.place,
        "hash": head.hash,
        "records_under_checkpoint": head.vouched_place,
    }
