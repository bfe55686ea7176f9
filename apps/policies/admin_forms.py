"""The acts of this room's admin pages: one form a use case."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget

from apps.orgs.models import Organization
from apps.orgs.queries import find_unit
from apps.policies import drafting, freezing, lifecycle, reviewing
from apps.policies.drafting import Changed
from apps.policies.models import PolicyKind, VersionState
from spendra.kernel import clock
from spendra.kernel.governed_admin import ActForm, Done, InstantInput
from spendra.kernel.money import format_usd, parse_usd

_RULES = (
    'allowlist {"models": ["openai/gpt-4.1*"], "tools": [], "endpoints": ["chat.completions"]}; '
    'per_request_limit {"max_usd": "2.00", "max_input_tokens": 10000, "max_output_tokens": 4000}; '
    'review {"above_usd": "2.00"}; alert {"thresholds": [80, 100]}. An allowlist or a limit has one member or more.'
)
_SELECTORS = (
    "Empty: every request of its scope. Members: models, tools, environments, key_ids, actor_kinds, each a list, "
    'such as {"environments": ["production"]}.'
)


class _Content(ActForm):
    selector = forms.JSONField(
        required=False, widget=AdminTextareaWidget(attrs={"rows": 4}), help_text=_SELECTORS, initial=dict
    )
    rule = forms.JSONField(
        required=False, widget=AdminTextareaWidget(attrs={"rows": 4}), help_text=_RULES, initial=dict
    )

    def said(self) -> dict[str, Any]:
        return {name: {} if (value := self.cleaned_data[name]) is None else value for name in ("selector", "rule")}


class CreatePolicy(_Content):
    title = "Add policy"
    note = "It begins as a draft, which nothing is held to: put it in shadow or in force on the page of its version."
    organization = forms.ModelChoiceField(Organization.objects.all())
    name = forms.CharField(max_length=200, widget=AdminTextInputWidget)
    kind = forms.ChoiceField(choices=PolicyKind.choices)
    unit = forms.CharField(
        max_length=210,
        required=False,
        widget=AdminTextInputWidget,
        help_text="A name, kind:name, or an id. Empty: the whole organization.",
    )
    field_order = ("organization", "name", "kind", "unit")

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        changed = drafting.create_policy(
            organization=data["organization"],
            name=data["name"],
            kind=data["kind"],
            unit=find_unit(data["organization"], data["unit"]) if data["unit"] else None,
            acting=acting,
            **self.said(),
        )
        return Done(_sentence(changed), changed.version.policy)


class _OfPolicy(ActForm):
    """Carries the revision that its reader saw, so that nobody writes over what somebody else changed meanwhile."""

    revision = forms.IntegerField(widget=forms.HiddenInput)

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {"revision": getattr(subject, "policy", subject).revision}

    def seen(self) -> dict[str, Any]:
        return {"organization": self.subject.organization, "revision": self.cleaned_data["revision"]}


class DraftVersion(_OfPolicy, _Content):
    title = "Draft a version"
    note = "Begins from the newest version. What is in force stays so until the draft takes its place."

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return not subject.versions.filter(state=VersionState.DRAFT).exists()

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        newest = subject.versions.order_by("-number")[0]
        return {**super().initial_of(subject), "selector": newest.selector, "rule": newest.rule}

    def carry_out(self, *, acting: str) -> Done:
        changed = drafting.draft_version(self.subject, acting=acting, **self.seen(), **self.said())
        return Done(_sentence(changed), self.subject)


class EditDraft(_OfPolicy, _Content):
    title = "Edit draft"

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return bool(subject.state == VersionState.DRAFT)

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {**super().initial_of(subject), "selector": subject.selector, "rule": subject.rule}

    def carry_out(self, *, acting: str) -> Done:
        changed = drafting.edit_draft(self.subject, acting=acting, **self.seen(), **self.said())
        return Done(_sentence(changed), self.subject)


class _Dated(_OfPolicy):
    effective_from = forms.SplitDateTimeField(required=False, widget=InstantInput, help_text="In UTC. Empty: at once.")
    effective_until = forms.SplitDateTimeField(
        required=False, widget=InstantInput, help_text="In UTC. Empty: until it is retired."
    )

    def dates(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("effective_from", "effective_until")}


class PutInShadow(_Dated):
    title = "Put in shadow"
    note = "It is observed and counted from the next request on, and decides nothing. One in shadow now is retired."

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return bool(subject.state == VersionState.DRAFT)

    def carry_out(self, *, acting: str) -> Done:
        changed = lifecycle.to_shadow(self.subject, acting=acting, **self.seen(), **self.dates())
        return Done(_sentence(changed), self.subject)


class Activate(_Dated):
    title = "Activate"
    note = "It binds the next request, on every gateway. The version that is active now is retired."

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.state in (VersionState.DRAFT, VersionState.SHADOW)

    def carry_out(self, *, acting: str) -> Done:
        changed = lifecycle.activate(self.subject, acting=acting, **self.seen(), **self.dates())
        return Done(_sentence(changed), self.subject)


class Retire(_OfPolicy):
    title = "Retire"
    note = "It ends with the next request, and does not come back. Decisions that it made still name it."
    reason = forms.CharField(
        max_length=500, required=False, widget=AdminTextInputWidget, help_text="Kept in the audit record."
    )

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return bool(subject.state != VersionState.RETIRED)

    def carry_out(self, *, acting: str) -> Done:
        version = lifecycle.retire(self.subject, acting=acting, reason=self.cleaned_data["reason"], **self.seen())
        return Done(f"Version {version.number} of {version.policy} is retired.", version)


class FreezeTarget(ActForm):
    title = "Freeze"
    note = "No request of it passes from the next one on, on every gateway. What is running is settled."
    organization = forms.ModelChoiceField(Organization.objects.all())
    unit = forms.CharField(
        max_length=210, required=False, widget=AdminTextInputWidget, help_text="A name, kind:name, or an id."
    )
    key_id = forms.CharField(max_length=40, required=False, label="Key", help_text="The id of a key.")
    provider = forms.CharField(max_length=40, required=False, help_text="Such as openai.")
    reason = forms.CharField(max_length=500, widget=AdminTextInputWidget, help_text="Callers read it.")

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        organization = data["organization"]
        target = freezing.find_target(
            organization,
            unit=find_unit(organization, data["unit"]) if data["unit"] else None,
            key_id=data["key_id"] or None,
            provider=data["provider"] or None,
        )
        frozen = freezing.freeze(organization=organization, target=target, reason=data["reason"], acting=acting)
        return Done(f"The {target.name} is frozen.", frozen)


class Thaw(ActForm):
    title = "Thaw"
    note = "Requests of it pass again, unless something else stops them."
    reason = forms.CharField(max_length=500, widget=AdminTextInputWidget, help_text="Kept in the audit record.")

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.thawed_at is None

    def carry_out(self, *, acting: str) -> Done:
        target = freezing.target_of(self.subject)
        thawed = freezing.thaw(
            organization=self.subject.organization, target=target, reason=self.cleaned_data["reason"], acting=acting
        )
        return Done(f"The {target.name} is thawed.", thawed)


class _Decision(ActForm):
    note_text = forms.CharField(
        label="Note", max_length=500, required=False, widget=AdminTextInputWidget, help_text="Kept with the review."
    )

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return bool(subject.state == "pending")

    def decided(self) -> dict[str, Any]:
        organization = Organization.objects.get(id=self.subject.organization_id)
        return {"organization": organization, "note": self.cleaned_data["note_text"]}


class Approve(_Decision):
    title = "Approve"
    note = "One request of this key for this model then passes, up to the amount and within the time."
    max_usd = forms.CharField(label="Amount (USD)", max_length=30, help_text="At first, what was asked.")
    valid_until = forms.SplitDateTimeField(widget=InstantInput, help_text="In UTC.")
    field_order = ("max_usd", "valid_until")

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {
            "max_usd": format_usd(subject.asked_nanos),
            "valid_until": (clock.now() + timedelta(days=1)).replace(second=0, microsecond=0),
        }

    def clean_max_usd(self) -> int:
        try:
            return parse_usd(self.cleaned_data["max_usd"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        approval = reviewing.approve(
            self.subject, max_nanos=data["max_usd"], valid_until=data["valid_until"], acting=acting, **self.decided()
        )
        return Done("It is approved: the retry passes once.", approval.review)


class Deny(_Decision):
    title = "Deny"

    def carry_out(self, *, acting: str) -> Done:
        return Done("It is denied.", reviewing.deny(self.subject, acting=acting, **self.decided()))


def _sentence(changed: Changed) -> str:
    version = changed.version
    state = f"Version {version.number} of {version.policy} is {version.get_state_display().lower()}."
    return " ".join([state, *(f"Mind: {finding.message}" for finding in changed.findings)])
