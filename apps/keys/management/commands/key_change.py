from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.core.management.base import CommandParser
from django.db import transaction

from apps.keys import changing, granting, issuing
from apps.keys.models import EnvironmentLabel
from apps.keys.queries import grants_of
from apps.orgs.models import Organization, UnitKind
from apps.orgs.queries import find_unit, organization_by_slug
from spendra.kernel.arguments import duration, nanos
from spendra.kernel.commands import JsonCommand

_T = TypeVar("_T")


def none_or(read: Callable[[str], _T]) -> Callable[[str], _T | None]:
    def of(text: str) -> _T | None:
        return None if text == "none" else read(text)

    of.__name__ = read.__name__  # argparse says it where the text is refused
    return of


class Command(JsonCommand):
    help = "Changes what a key may use and reserve, until when, and for what: from its next request on. The rest stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id", metavar="KEY_ID", help="The part of the key between spk_live_ and the secret.")
        parser.add_argument("--organization", metavar="SLUG", help="Refuse where the key is not this organization's.")
        parser.add_argument("--grant", action="append", default=[], metavar="PROVIDER/MODEL", dest="grants")
        parser.add_argument("--withdraw", action="append", default=[], metavar="PROVIDER/MODEL", dest="withdrawn")
        limits = parser.add_argument_group("limits", "`none` takes one away.")
        changed: dict[str, Any] = {"default": ..., "metavar": "USD", "dest": "max_reservation_nanos"}
        limits.add_argument("--max-reservation-usd", type=none_or(nanos), **changed)
        limits.add_argument("--default-output-tokens", type=none_or(int), default=..., metavar="N")
        limits.add_argument("--expires-in", type=none_or(duration), default=..., metavar="30d")
        parser.add_argument("--environment", choices=EnvironmentLabel.values)
        parser.add_argument("--project", metavar="U", help="Where its spend counts as well; `none` for nowhere else.")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    @transaction.atomic
    def perform(self, **options: Any) -> dict[str, object]:
        slug, key_id = options["organization"], options["key_id"]
        said: dict[str, Any] = {
            "organization": organization_by_slug(slug) if slug else None,
            "reason": options["reason"],
            "acting": "command:key_change",
        }
        key = changing.change_limits(key_id, **said, **_changes(options))
        key = changing.reassign(key_id, **said, **_assignment(options, key.organization))
        if options["grants"]:
            granting.grant(key_id, patterns=options["grants"], **said)
        if options["withdrawn"]:
            granting.withdraw(key_id, patterns=options["withdrawn"], **said)
        return issuing.describe(key, grants_of(key))

    def describe(self, result: dict[str, Any]) -> str:
        grants = ", ".join(result["grants"]) or "nothing: it has no grant"
        return f"The key {result['key_id']} reaches {grants}, until {result['expires_at'] or 'it is revoked'}."


def _changes(options: dict[str, Any]) -> changing.Limits:
    changes: dict[str, Any] = {
        name: options[name] for name in ("max_reservation_nanos", "default_output_tokens") if options[name] is not ...
    }
    if options["expires_in"] is not ...:
        changes |= {"expires_at": None} if options["expires_in"] is None else {"expires_in": options["expires_in"]}
    return cast("changing.Limits", changes)


def _assignment(options: dict[str, Any], organization: Organization) -> changing.Assignment:
    assignment: changing.Assignment = {}
    if options["environment"]:
        assignment["environment_label"] = options["environment"]
    if name := options["project"]:
        project = None if name == "none" else find_unit(organization, name, kinds=[UnitKind.PROJECT])
        assignment["project"] = project
    return assignment
