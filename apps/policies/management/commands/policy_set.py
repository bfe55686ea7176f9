import json
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from apps.orgs.models import Organization
from apps.orgs.queries import find_unit, organization_by_slug
from apps.policies import drafting, lifecycle
from apps.policies.drafting import Changed
from apps.policies.models import Policy, PolicyKind, VersionState
from apps.policies.telling import told_version, unit_name
from spendra.kernel.arguments import instant
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import Invalid

ACTING = "command:policy_set"


def json_object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no JSON: {error}") from error


def add_dates(parser: CommandParser) -> None:
    parser.add_argument("--effective-from", type=instant, metavar="TIME", help="At once where left out.")
    parser.add_argument("--effective-until", type=instant, metavar="TIME", help="Until retired where left out.")


class Command(JsonCommand):
    help = "Writes what a policy says, as a draft: of a new policy, a new version of it, or in place of its draft."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--name", required=True)
        parser.add_argument("--kind", choices=PolicyKind.values, help="Needed for a new policy.")
        parser.add_argument("--unit", metavar="U", help="Of a new policy: the whole organization where left out.")
        parser.add_argument(
            "--selector",
            type=json_object,
            metavar="JSON",
            help="Where left out: all requests, or of a policy that is there, what its newest version is for.",
        )
        parser.add_argument("--rule", type=json_object, required=True, metavar="JSON", help="See docs/policies.md.")
        parser.add_argument("--state", choices=[VersionState.SHADOW.value, VersionState.ACTIVE.value])
        add_dates(parser)

    @transaction.atomic
    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        changed = _write(organization, options)
        dates = {name: options[name] for name in ("effective_from", "effective_until")}
        if options["state"]:
            enter = lifecycle.to_shadow if options["state"] == VersionState.SHADOW else lifecycle.activate
            version, revision = changed.version, Policy.objects.get(id=changed.version.policy_id).revision
            changed = enter(version, organization=organization, revision=revision, acting=ACTING, **dates)
        elif any(dates.values()):
            raise Invalid("A draft has no dates: give them with --state, or to policy_state.")
        return told_version(changed.version, changed.findings)

    def describe(self, result: dict[str, Any]) -> str:
        lines = [f"Version {result['number']} of the policy {result['name']!r} is {result['state']}."]
        return "\n".join(lines + [f"Mind: {finding['message']}" for finding in result.get("findings", ())])


def _write(organization: Organization, options: dict[str, Any]) -> Changed:
    unit = find_unit(organization, options["unit"]) if options["unit"] else None
    policy = Policy.objects.filter(organization=organization, name=options["name"]).select_related("unit").first()
    said = {"selector": _selector(policy, options["selector"]), "rule": options["rule"], "acting": ACTING}
    if policy is None:
        if options["kind"] is None:
            raise Invalid(f"There is no policy {options['name']!r} yet: a new one needs --kind.", param="kind")
        return drafting.create_policy(
            organization=organization, name=options["name"], kind=options["kind"], unit=unit, **said
        )
    if options["kind"] not in (None, policy.kind) or (unit is not None and unit != policy.unit):
        scope = unit_name(policy.unit) or organization.slug
        raise Invalid(f"The policy {policy.name!r} is of the kind {policy.kind}, for {scope}. That does not change.")
    draft = policy.versions.filter(state=VersionState.DRAFT).first()
    if draft is None:
        return drafting.draft_version(policy, organization=organization, revision=policy.revision, **said)
    return drafting.edit_draft(draft, organization=organization, revision=policy.revision, **said)


def _selector(policy: Policy | None, asked: object) -> object:
    """A rule for agents alone must not bind everybody because its next version names nobody."""
    if asked is not None or policy is None:
        return {} if asked is None else asked
    return policy.versions.order_by("-number")[0].selector
