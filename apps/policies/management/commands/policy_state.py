from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import organization_by_slug
from apps.policies import lifecycle
from apps.policies.management.commands import policy_set
from apps.policies.models import Policy, PolicyVersion, VersionState
from apps.policies.queries import find_policy, find_version
from apps.policies.telling import told_version
from spendra.kernel.errors import Invalid

ACTING = "command:policy_state"


class Command(policy_set.Command):
    help = "Takes a version of a policy from draft to shadow, to active, or retires it."

    def add_arguments(self, parser: CommandParser) -> None:
        states = [VersionState.SHADOW.value, VersionState.ACTIVE.value, VersionState.RETIRED.value]
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--number", type=int, metavar="N", help="The newest where left out; to retire one, the only one there is."
        )
        parser.add_argument("--state", choices=states, required=True)
        parser.add_argument("--reason", default="", help="Of a retirement: kept in the audit record.")
        policy_set.add_dates(parser)

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        policy = find_policy(organization, options["name"])
        is_retired = options["state"] == VersionState.RETIRED
        find = _to_retire if is_retired else find_version
        version = find(policy, number=options["number"])
        seen: dict[str, Any] = {"organization": organization, "revision": policy.revision, "acting": ACTING}
        dates = {name: options[name] for name in ("effective_from", "effective_until")}
        if is_retired:
            if any(dates.values()):
                raise Invalid("A version is retired at once: it takes no dates.")
            return told_version(lifecycle.retire(version, reason=options["reason"], **seen))
        enter = lifecycle.to_shadow if options["state"] == VersionState.SHADOW else lifecycle.activate
        changed = enter(version, **seen, **dates)
        return told_version(changed.version, changed.findings)


def _to_retire(policy: Policy, *, number: int | None) -> PolicyVersion:
    """A draft beside what is in force: nobody should end the one and mean the other."""
    several = policy.versions.exclude(state=VersionState.RETIRED).order_by("-number")
    if number is None and len(several) > 1:
        told = ", ".join(f"version {version.number} ({version.state})" for version in several)
        raise Invalid(f"The policy {policy.name!r} has {told}: name one with --number.", param="number")
    return find_version(policy, number=number)
