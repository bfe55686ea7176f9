from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from apps.orgs.organizations import create_organization
from apps.providers.accounts import create_default_accounts
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Creates an organization, with the provider accounts that every organization begins with."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--slug", required=True, help="Its short name, such as acme-eu; it cannot change.")
        parser.add_argument("--name", required=True)
        parser.add_argument("--time-zone", default="UTC", metavar="ZONE", help="In which its days begin.")
        parser.add_argument(
            "--fiscal-year-starts-month", type=int, default=1, metavar="1-12", help="In which budgets a year begin."
        )

    @transaction.atomic
    def perform(self, **options: Any) -> dict[str, object]:
        acting = "command:organization_create"
        organization = create_organization(
            slug=options["slug"],
            name=options["name"],
            time_zone=options["time_zone"],
            fiscal_year_starts_month=options["fiscal_year_starts_month"],
            acting=acting,
        )
        accounts = create_default_accounts(organization, acting=acting)
        return {
            "id": str(organization.id),
            "slug": organization.slug,
            "name": organization.name,
            "time_zone": organization.time_zone,
            "provider_accounts": [account.provider for account in accounts],
        }

    def describe(self, result: dict[str, Any]) -> str:
        return f"The organization {result['slug']} exists, with accounts at {', '.join(result['provider_accounts'])}."
