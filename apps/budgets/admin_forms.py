"""The acts of this room's admin pages: one form a use case."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget

from apps.budgets import allocating, capping, checking, ending, exceeding, overriding, quarantining
from apps.budgets.models import (
    Budget,
    BudgetOverride,
    Hardness,
    Measure,
    PeriodKind,
    Reservation,
    ReservationState,
    SettleQuarantine,
    amount_in_words,
)
from apps.budgets.queries import find_budget
from apps.orgs.models import Organization, UnitKind
from apps.orgs.queries import find_unit
from spendra.kernel import clock
from spendra.kernel.governed_admin import ActForm, Done, InstantInput, OfUnarchived, Reason
from spendra.kernel.money import format_usd, parse_usd


def read_amount(text: str, measure: str) -> int:
    try:
        return parse_usd(text) if measure == Measure.NANOS else int(text)
    except ValueError as error:
        message = str(error) if measure == Measure.NANOS else f"{text!r} is not a whole number of {measure}"
        raise forms.ValidationError({"amount": message}) from error


class _Amount(ActForm):
    amount = forms.CharField(
        max_length=30,
        widget=AdminTextInputWidget,
        help_text="USD such as 12.50, or a whole number of requests or tokens.",
    )
    reason = Reason()


class SetCap(_Amount):
    title = "Set cap"
    note = (
        "Binds the next request. Where the scope has a budget of that measure, period, hardness and selector, its "
        "amount changes. Requests or tokens of a minute, an hour or a day are a rate limit."
    )
    organization = forms.ModelChoiceField(Organization.objects.all())
    unit = forms.CharField(
        max_length=210,
        required=False,
        widget=AdminTextInputWidget,
        help_text="A name, kind:name, or an id. Empty: the whole organization.",
    )
    applies_to_each = forms.ChoiceField(
        choices=[("", "One budget for the whole scope"), *UnitKind.choices],
        required=False,
        help_text="Every unit of this kind below the scope gets a budget of its own, on first use.",
    )
    measure = forms.ChoiceField(
        choices=[(Measure.NANOS, "USD"), (Measure.REQUESTS, "Requests"), (Measure.TOKENS, "Tokens")],
        initial=Measure.NANOS,
    )
    period_kind = forms.ChoiceField(choices=PeriodKind.choices, initial=PeriodKind.MONTH)
    hardness = forms.ChoiceField(
        choices=Hardness.choices,
        initial=Hardness.HARD,
        help_text="Hard: a request that does not fit is refused. Soft: counted and told, never refused.",
    )
    selector = forms.JSONField(
        required=False,
        widget=AdminTextareaWidget(attrs={"rows": 4}),
        initial=dict,
        help_text="Which requests it counts; empty: all of its scope. Members: models, tools, environments, key_ids, "
        'actor_kinds, each a list, such as {"models": ["openai/*"]}.',
    )
    allocated_from = forms.UUIDField(
        required=False,
        widget=AdminTextInputWidget,
        help_text="The id of the budget of a scope above of which a new one is a part.",
    )
    fixed_starts_at = forms.SplitDateTimeField(
        required=False, widget=InstantInput, help_text="For a fixed period only, in UTC."
    )
    fixed_ends_at = forms.SplitDateTimeField(
        required=False, widget=InstantInput, help_text="For a fixed period only, in UTC."
    )
    counts_from_now = forms.BooleanField(
        required=False, help_text="Leave out what its current window has seen already."
    )
    field_order = (
        "organization", "unit", "applies_to_each", "measure", "amount", "period_kind", "hardness", "selector",
        "allocated_from", "fixed_starts_at", "fixed_ends_at", "counts_from_now",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "amount" in data and "measure" in data:
            data["amount"] = read_amount(data["amount"], data["measure"])
        return data

    def carry_out(self, *, acting: str) -> Done:
        data = dict(self.cleaned_data)
        unit, parent = data.pop("unit"), data.pop("allocated_from")
        data["unit"] = find_unit(data["organization"], unit) if unit else None
        data["allocated_from"] = find_budget(data["organization"], parent) if parent else None
        return _set(capping.set_cap(**data, acting=acting))


class ChangeCap(OfUnarchived, _Amount):
    title = "Change cap"
    note = "Binds the next request on every gateway. What was spent before counts."
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    @classmethod
    def initial_of(cls, subject: Budget) -> dict[str, Any]:
        is_money = subject.measure == Measure.NANOS
        return {"amount": format_usd(subject.amount) if is_money else str(subject.amount), "seen": subject.amount}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "amount" in data:
            data["amount"] = read_amount(data["amount"], self.subject.measure)
        return data

    def carry_out(self, *, acting: str) -> Done:
        data = dict(self.cleaned_data)
        seen = data.pop("seen")
        return _set(capping.change_amount(self.subject, **data, expected_amount=seen, acting=acting))


class ArchiveCap(OfUnarchived):
    title = "Archive budget"
    note = "The next request is no longer held to it. A budget that is archived never comes back."
    reason = Reason()

    def carry_out(self, *, acting: str) -> Done:
        budget = capping.archive_cap(
            self.subject.id, organization=self.subject.organization, acting=acting, reason=self.cleaned_data["reason"]
        )
        return Done("The budget is archived: no request is held to it any more.", budget)


class ReleaseCap(ActForm):
    title = "Release from its whole"
    note = "It stands for itself from now on; its part of the budget that it is allocated from is free."
    reason = Reason()

    @classmethod
    def is_offered(cls, subject: Budget) -> bool:
        return subject.archived_at is None and subject.allocated_from_id is not None

    def carry_out(self, *, acting: str) -> Done:
        budget = allocating.release(
            self.subject, organization=self.subject.organization, **self.cleaned_data, acting=acting
        )
        return Done("The budget stands for itself.", budget)


class OverrideCap(OfUnarchived, _Amount):
    title = "Override cap"
    note = "Another cap for a time. The base stays, and is in force again afterwards."
    starts_at = forms.SplitDateTimeField(required=False, widget=InstantInput, help_text="In UTC. Empty: now.")
    ends_at = forms.SplitDateTimeField(widget=InstantInput, help_text="In UTC.")
    reason = Reason(required=True)
    field_order = ("amount", "starts_at", "ends_at", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "amount" in data:
            data["amount"] = read_amount(data["amount"], self.subject.measure)
        return data

    def carry_out(self, *, acting: str) -> Done:
        override = overriding.override_cap(
            self.subject.id, organization=self.subject.organization, **self.cleaned_data, acting=acting
        )
        return Done(f"The cap is {override} UTC.", override)


class EndOverride(ActForm):
    title = "End override"
    note = "The next request is held to the base again."
    reason = Reason()

    @classmethod
    def is_offered(cls, subject: BudgetOverride) -> bool:
        return subject.ended_at is None and subject.ends_at > clock.now()

    def carry_out(self, *, acting: str) -> Done:
        override = overriding.end_override(
            self.subject.id, organization=self.subject.organization, **self.cleaned_data, acting=acting
        )
        return Done("The override is ended.", override)


def _set(budget: Budget) -> Done:
    sentences = [f"The cap is {amount_in_words(budget.amount, budget.measure)}."]
    sentences += checking.warnings(budget) + exceeding.warnings(budget.organization, budget)
    return Done(" ".join(sentences), budget)


class EndReservation(ActForm):
    title = "End reservation"
    note = "Books its amount as estimated, at once. A settle that comes later corrects it."
    reason = Reason(required=True)

    @classmethod
    def is_offered(cls, subject: Reservation) -> bool:
        return subject.state == ReservationState.OPEN

    def carry_out(self, *, acting: str) -> Done:
        ended = ending.end_by_hand(
            self.subject.id,
            organization=Organization.objects.get(id=self.subject.organization_id),
            acting=acting,
            reason=self.cleaned_data["reason"],
        )
        return Done(f"The reservation is ended; {format_usd(ended.booked_nanos)} USD are booked as estimated.", ended)


class RetryQuarantined(ActForm):
    title = "Try again"
    note = "Once the cause is mended: ends the reservation as it was to be ended, also where it has expired since."
    reason = Reason(required=True)

    @classmethod
    def is_offered(cls, subject: SettleQuarantine) -> bool:
        return subject.resolved_at is None and isinstance(subject.payload, dict)

    def carry_out(self, *, acting: str) -> Done:
        outcome = quarantining.retry(self.subject.id, acting=acting, reason=self.cleaned_data["reason"])
        return Done(f"The reservation is {outcome['outcome']}.", self.subject)


class ResolveQuarantined(ActForm):
    title = "Dismiss"
    note = "Nobody has to look any more. A reservation that is still open is swept, and comes back if that is refused."
    reason = Reason(required=True)

    @classmethod
    def is_offered(cls, subject: SettleQuarantine) -> bool:
        return subject.resolved_at is None

    def carry_out(self, *, acting: str) -> Done:
        resolved = quarantining.resolve(self.subject.id, acting=acting, reason=self.cleaned_data["reason"])
        return Done("It is resolved.", resolved)
