"""The acts of this room's admin pages: one form a use case."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget

from apps.keys import changing, granting, issuing, revoking
from apps.keys.models import EnvironmentLabel
from apps.keys.queries import grants_of
from apps.orgs.models import ACTOR_KINDS, Organization, Unit, UnitKind
from apps.orgs.queries import find_unit
from spendra.kernel.governed_admin import ActForm, Done, InstantInput, Lines, Reason
from spendra.kernel.money import format_usd, parse_usd


class _Limits(ActForm):
    max_reservation_usd = forms.CharField(
        label="Max reservation (USD)",
        max_length=30,
        required=False,
        help_text="The most that one request may reserve, such as 1.50.",
    )
    default_output_tokens = forms.IntegerField(
        required=False, min_value=1, help_text="Used where a request sets no output limit."
    )

    def clean_max_reservation_usd(self) -> int | None:
        text = self.cleaned_data["max_reservation_usd"]
        try:
            return parse_usd(text) if text else None
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


class IssueKey(_Limits):
    title = "Issue key"
    note = "The key is shown once, on the next page, and works at once on every gateway."
    organization = forms.ModelChoiceField(Organization.objects.all())
    actor = forms.CharField(
        max_length=210,
        widget=AdminTextInputWidget,
        help_text="The employee, agent, subagent or automation that spends: a name, kind:name, or an id.",
    )
    grants = Lines(
        required=False,
        help_text="One a line: provider/model, such as openai/gpt-4.1-mini or anthropic/*. None: it reaches nothing.",
    )
    environment_label = forms.ChoiceField(choices=EnvironmentLabel.choices, initial=EnvironmentLabel.DEVELOPMENT)
    expires_after_days = forms.IntegerField(
        required=False, min_value=1, max_value=36500, help_text="Empty: it does not expire."
    )
    project = forms.CharField(
        max_length=210,
        required=False,
        widget=AdminTextInputWidget,
        help_text="A project for which its spend counts as well.",
    )
    field_order = ("organization", "actor", "grants", "environment_label", "expires_after_days", "project")

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        organization, days = data["organization"], data["expires_after_days"]
        issued = issuing.issue(
            organization=organization,
            actor=find_unit(organization, data["actor"], kinds=sorted(ACTOR_KINDS)),
            grants=data["grants"],
            environment_label=data["environment_label"],
            expires_in=None if days is None else timedelta(days=days),
            project=find_unit(organization, data["project"], kinds=[UnitKind.PROJECT]) if data["project"] else None,
            max_reservation_nanos=data["max_reservation_usd"],
            default_output_tokens=data["default_output_tokens"],
            acting=acting,
        )
        return Done(f"The key {issued.record} is issued.", issued.record, shown_once=issued.key)


class _UnrevokedKey(ActForm):
    reason = Reason()

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.revoked_at is None


class RevokeKey(_UnrevokedKey):
    title = "Revoke key"
    note = "The next request with it is refused, on every gateway. A revoked key never comes back."

    def carry_out(self, *, acting: str) -> Done:
        key = revoking.revoke(
            self.subject.key_id,
            organization=self.subject.organization,
            reason=self.cleaned_data["reason"],
            acting=acting,
        )
        return Done(f"The key {key} is revoked.", key)


class ChangeLimits(_Limits, _UnrevokedKey):
    title = "Change limits"
    note = "From the next request on. An empty field is no limit."
    expires_at = forms.SplitDateTimeField(
        required=False, widget=InstantInput, help_text="In UTC. Empty: it does not expire."
    )
    field_order = ("max_reservation_usd", "default_output_tokens", "expires_at", "reason")

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        nanos = subject.max_reservation_nanos
        return {
            "max_reservation_usd": "" if nanos is None else format_usd(nanos),
            "default_output_tokens": subject.default_output_tokens,
            "expires_at": subject.expires_at,
        }

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        key = changing.change_limits(
            self.subject.key_id,
            organization=self.subject.organization,
            max_reservation_nanos=data["max_reservation_usd"],
            default_output_tokens=data["default_output_tokens"],
            acting=acting,
            reason=data["reason"],
            **({} if data["expires_at"] == _shown(self.subject.expires_at) else {"expires_at": data["expires_at"]}),
        )
        return Done(f"The limits of the key {key} are changed.", key)


class Reassign(_UnrevokedKey):
    title = "Change environment and project"
    note = "From the next request on. What was spent before stays where it was."
    environment_label = forms.ChoiceField(choices=EnvironmentLabel.choices)
    project = forms.CharField(
        max_length=210,
        required=False,
        widget=AdminTextInputWidget,
        help_text="A project for which its spend counts as well. Empty: none.",
    )
    field_order = ("environment_label", "project")

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        project = subject.project and subject.project.name
        return {"environment_label": subject.environment_label, "project": project}

    def carry_out(self, *, acting: str) -> Done:
        data, organization = self.cleaned_data, self.subject.organization
        key = changing.reassign(
            self.subject.key_id,
            organization=organization,
            environment_label=data["environment_label"],
            acting=acting,
            reason=data["reason"],
            **({} if data["project"] == self.initial_of(self.subject)["project"] else {"project": self._project()}),
        )
        return Done(f"The key {key} is changed.", key)

    def _project(self) -> Unit | None:
        name = self.cleaned_data["project"]
        return find_unit(self.subject.organization, name, kinds=[UnitKind.PROJECT]) if name else None


def _shown(instant: datetime | None) -> datetime | None:
    """As the inputs of a page have it."""
    return instant and instant.replace(microsecond=0)


class GrantModels(_UnrevokedKey):
    title = "Grant models"
    patterns = Lines(
        label="Grants",
        help_text="To be added, one a line: provider/model, such as openai/gpt-4.1-mini or anthropic/*.",
    )
    field_order = ("patterns",)

    def carry_out(self, *, acting: str) -> Done:
        granted = granting.grant(
            self.subject.key_id,
            organization=self.subject.organization,
            patterns=self.cleaned_data["patterns"],
            reason=self.cleaned_data["reason"],
            acting=acting,
        )
        return Done(f"The key {self.subject} may use {', '.join(granted)}.", self.subject)


class WithdrawGrants(_UnrevokedKey):
    title = "Withdraw grants"
    patterns = forms.MultipleChoiceField(label="Grants", widget=forms.CheckboxSelectMultiple)
    field_order = ("patterns",)

    def __init__(self, *args: Any, subject: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, subject=subject, **kwargs)
        field = self.fields["patterns"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(pattern, pattern) for pattern in grants_of(subject)]

    def carry_out(self, *, acting: str) -> Done:
        left = granting.withdraw(
            self.subject.key_id,
            organization=self.subject.organization,
            patterns=self.cleaned_data["patterns"],
            reason=self.cleaned_data["reason"],
            acting=acting,
        )
        return Done(f"The key {self.subject} may use {', '.join(left) or 'nothing'}.", self.subject)
