from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import organization_by_slug
from apps.policies.models import ReviewState
from apps.policies.queries import reviews_of
from apps.policies.telling import told_review
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lists the reviews that an organization's keys have asked for, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--state", choices=ReviewState.values, help="All where left out.")

    def perform(self, **options: Any) -> list[dict[str, object]]:
        organization = organization_by_slug(options["organization"])
        return [told_review(review) for review in reviews_of(organization, state=options["state"])]

    def describe(self, result: list[dict[str, Any]]) -> str:
        lines = (
            f"{told['review_id']}  {told['state']}  key {told['key_id']}  {told['provider']}/{told['model']}  "
            f"up to {told['asked_usd']} USD"
            for told in result
        )
        return "\n".join(lines) or "There are no reviews."
