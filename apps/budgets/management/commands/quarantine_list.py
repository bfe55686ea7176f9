from typing import Any

from apps.budgets import quarantining
from apps.budgets.models import SettleQuarantine
from apps.orgs.models import Organization
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lists endings that Postgres refused for their data and nobody has resolved, oldest first."

    def perform(self, **options: Any) -> list[dict[str, object]]:
        found = quarantining.waiting()
        organizations = Organization.objects.in_bulk({row.organization_id for row in found if row.organization_id})
        slugs = {id: organization.slug for id, organization in organizations.items()}
        return [_told(row, slugs.get(row.organization_id) if row.organization_id else None) for row in found]

    def describe(self, result: Any) -> str:
        lines = [
            f"{row['id']}  {row['created_at']}  {row['organization'] or 'unknown'}  "
            f"reservation {row['reservation_id']}: {' '.join(row['error'].split())}"
            for row in result
        ]
        return "\n".join(lines or ["Nothing is in quarantine."])


def _told(row: SettleQuarantine, organization: str | None) -> dict[str, object]:
    return {
        "id": str(row.id),
        "reservation_id": str(row.reservation_id),
        "organization": organization,
        "error": row.error,
        "created_at": row.created_at.isoformat(),
    }
