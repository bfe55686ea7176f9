"""What is odd about a version before it enters force: rules that contradict, can never fire, or name what is not there.
docs/policies.md lists every finding; what is no finding is as it should be."""

from collections.abc import Iterator
from datetime import datetime

from apps.keys.models import Key
from apps.policies import comparing
from apps.policies.catalog_names import CatalogNames
from apps.policies.contents import Allowlist, PerRequestLimit
from apps.policies.models import PolicyVersion, VersionState
from apps.policies.selectors import Selector, told
from apps.policies.types import Finding


def check(version: PolicyVersion, *, now: datetime | None = None) -> tuple[Finding, ...]:
    """Every finding about the version as it would enter force at `now`; without it, of a draft, none about dates."""
    rule = comparing.Rule.of(version)
    catalog = CatalogNames.load()
    findings = [
        *_of_scope(version),
        *(() if now is None else _of_dates(version, now)),
        *_of_keys(version, rule.selector),
        *_of_models(rule, catalog),
        *_of_effect(rule, catalog),
    ]
    if not any(finding.is_refused for finding in findings):
        findings += comparing.findings(version, rule, catalog)
    return tuple(findings)


def _of_scope(version: PolicyVersion) -> Iterator[Finding]:
    unit = version.policy.unit
    if unit is not None and unit.archived_at is not None:
        yield Finding("scope_archived", True, f"The {unit} is archived, so no request is in this policy's scope.")


def _of_dates(version: PolicyVersion, now: datetime) -> Iterator[Finding]:
    starts, ends = version.effective_from, version.effective_until
    if ends is not None and starts is not None and ends <= starts:
        yield Finding("dates_reversed", True, "It would end before it begins.")
    elif ends is not None and ends <= now:
        yield Finding("dates_past", True, f"It would have ended already, at {ends:%Y-%m-%d %H:%M} UTC.")
    elif version.state == VersionState.ACTIVE and starts is not None and starts > now:
        active = version.policy.versions.filter(state=VersionState.ACTIVE).exclude(id=version.id).first()
        if active is not None and _holds_before(active, starts, now):
            message = (
                f"Version {active.number} would be retired now and version {version.number} begin only at "
                f"{starts:%Y-%m-%d %H:%M} UTC, with nothing between. Activate it then, or as a policy of its own."
            )
            yield Finding("leaves_gap", True, message)


def _holds_before(active: PolicyVersion, instant: datetime, now: datetime) -> bool:
    begins_before = active.effective_from is None or active.effective_from < instant
    return begins_before and (active.effective_until is None or active.effective_until > now)


def _of_keys(version: PolicyVersion, selector: Selector) -> Iterator[Finding]:
    if not selector.key_ids:
        return
    keys = Key.objects.filter(organization_id=version.organization_id, key_id__in=selector.key_ids)
    revoked = {key_id: revoked_at is not None for key_id, revoked_at in keys.values_list("key_id", "revoked_at")}
    if unknown := [key_id for key_id in selector.key_ids if key_id not in revoked]:
        yield Finding("key_unknown", True, f"The organization has no key {told(unknown)}.")
    elif all(revoked.values()):
        yield Finding("never_fires", False, "Every key that it is for is revoked.")


def _of_models(rule: comparing.Rule, catalog: CatalogNames) -> Iterator[Finding]:
    named = rule.selector.models
    if isinstance(rule.content, Allowlist):
        named += rule.content.models or ()
    if unknown := [pattern for pattern in named if not catalog.models((pattern,))]:
        yield Finding("model_unknown", False, f"The catalog knows no model {told(unknown)}.")
    if retired := [pattern for pattern in named if catalog.are_retired(pattern)]:
        yield Finding("model_retired", False, f"The provider has retired {told(retired)}.")
    if rule.selector.models and not catalog.models(rule.selector.models):
        yield Finding("never_fires", False, "The catalog knows no model that it is for.")


def _of_effect(rule: comparing.Rule, catalog: CatalogNames) -> Iterator[Finding]:
    content = rule.content
    if isinstance(content, PerRequestLimit) and 0 in (
        content.max_nanos, content.max_input_tokens, content.max_output_tokens,
    ):  # fmt: skip
        yield Finding("denies_everything", False, "It denies every request that it is for: a limit is 0.")
    if not isinstance(content, Allowlist):
        return
    selected = catalog.models(rule.selector.models or ("*/*",))
    allowed = selected if content.models is None else selected & catalog.models(content.models)
    if content.endpoints == () or (selected and not allowed):
        yield Finding("denies_everything", False, "It denies every request that it is for.")
    elif allowed == selected and content.endpoints is None and content.tools is None:
        yield Finding("never_fires", False, "It allows everything that there is to ask for, so it denies nothing.")
