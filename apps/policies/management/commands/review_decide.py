from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import organization_by_slug
from apps.policies import reviewing
from apps.policies.queries import find_review
from apps.policies.telling import told_review
from spendra.kernel.arguments import duration, nanos
from spendra.kernel.clock import database_now
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import Invalid

ACTING = "command:review_decide"


class Command(JsonCommand):
    help = "Approves a review, for one request up to an amount within a time, or denies it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("review_id", metavar="REVIEW_ID")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        decision = parser.add_mutually_exclusive_group(required=True)
        decision.add_argument("--approve", action="store_true")
        decision.add_argument("--deny", action="store_true")
        parser.add_argument(
            "--amount-usd", type=nanos, metavar="1.50", dest="max_nanos", help="What was asked where left out."
        )
        parser.add_argument("--valid-for", type=duration, default="1d", metavar="1d", help="A day where left out.")
        parser.add_argument("--note", default="", help="Kept with the review and in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        review = find_review(organization, options["review_id"])
        decided: dict[str, Any] = {"organization": organization, "note": options["note"], "acting": ACTING}
        if options["deny"]:
            return told_review(reviewing.deny(review, **decided))
        approval = reviewing.approve(
            review,
            max_nanos=review.asked_nanos if options["max_nanos"] is None else options["max_nanos"],
            valid_until=_after(options["valid_for"]),
            **decided,
        )
        return told_review(approval.review)

    def describe(self, result: dict[str, Any]) -> str:
        until = f" until {result['valid_until']}" if result["state"] == "approved" else ""
        return f"The review {result['review_id']} is {result['state']}{until}."


def _after(time: timedelta) -> datetime:
    try:
        return database_now() + time
    except OverflowError as error:
        raise Invalid("The approval would end after the year 9999.", param="valid_for") from error
