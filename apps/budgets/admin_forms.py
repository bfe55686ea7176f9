"""The acts of this room's admin pages: one form a use case."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime, AdminTextInputWidget

from apps.budgets import capping, ending
from apps.budgets.models import Budget, Hardness, Measure, PeriodKind, Reservation, ReservationState
from apps.orgs.models import Organization, UnitKind
from apps.orgs.queries import find_unit
from spendra.kernel.governed_admin import ActForm, Done, OfUnarchived, Reason
from spendra.kernel.money import format_usd, parse_usd


def shown_amount(amount: int, measure: str) -> str:
    return f"{format_usd(amount)} USD" if measure == Measure.NANOS else f"{amount} {measure}"


def read_amount(text: str, measure: str) -> int:
    try:
        return parse_usd(text) if measure == Measure.NANOS else int(text)
    except ValueError as error:
        message = str(error) if measure == Measure.NANOS else f"{text!r} is not a whole number of {measure}"
        raise forms.ValidationError({"amount": message}) from error


class _Instant(AdminSplitDateTime):
    """The words before Django's two inputs are no labels."""

    def __init__(self) -> None:
        super().__init__()
        for widget, name in zip(self.widgets, ("Date", "Time"), strict=True):
            widget.attrs["aria-label"] = name


class _Amount(ActForm):
    amount = forms.CharField(
        max_length=30,
        widget=AdminTextInputWidget,
        help_text="USD such as 12.50, or a whole number of requests or tokens.",
    )
    reason = Reason()


class SetCap(_Amount):
    title = "Set cap"
    note = "Binds the next request. Where the scope has a budget of that period and hardness, its amount changes."
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
    fixed_starts_at = forms.SplitDateTimeField(
        required=False, widget=_Instant, help_text="For a fixed period only, in UTC."
    )
    fixed_ends_at = forms.SplitDateTimeField(
        required=False, widget=_Instant, help_text="For a fixed period only, in UTC."
    )
    counts_from_now = forms.BooleanField(
        required=False, help_text="Leave out what its current window has seen already."
    )
    field_order = (
        "organization", "unit", "applies_to_each", "measure", "amount", "period_kind", "hardness", "fixed_starts_at",
        "fixed_ends_at", "counts_from_now",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "amount" in data and "measure" in data:
            data["amount"] = read_amount(data["amount"], data["measure"])
        return data

    def carry_out(self, *, acting: str) -> Done:
        data = dict(self.cleaned_data)
        unit = data.pop("unit")
        data["unit"] = find_unit(data["organization"], unit) if unit else None
        budget = capping.set_cap(**data, acting=acting)
        return Done(f"The cap is {shown_amount(budget.amount, budget.measure)}.", budget)


class ChangeCap(OfUnarchived, _Amount):
    title = "Change cap"
    note = "Binds the next request on every gateway."

    @classmethod
    def initial_of(cls, subject: Budget) -> dict[str, Any]:
        is_money = subject.measure == Measure.NANOS
        return {"amount": format_usd(subject.amount) if is_money else str(subject.amount)}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "amount" in data:
            data["amount"] = read_amount(data["amount"], self.subject.measure)
        return data

    def carry_out(self, *, acting: str) -> Done:
        budget = capping.change_amount(self.subject, **self.cleaned_data, acting=acting)
        return Done(f"The cap is {shown_amount(budget.amount, budget.measure)}.", budget)


class ArchiveCap(OfUnarchived):
    title = "Archive budget"
    note = "The next request is no longer held to it. A budget that is archived never comes back."
    reason = Reason()

    def carry_out(self, *, acting: str) -> Done:
        budget = capping.archive_cap(
            self.subject.id, organization=self.subject.organization, acting=acting, reason=self.cleaned_data["reason"]
        )
        return Done("The budget is archived: no request is held to it any more.", budget)


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
