"""The acts of this room's admin pages: one form a use case."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget

from apps.orgs import organizations, units
from apps.orgs.models import Organization, Unit, UnitKind
from apps.orgs.queries import find_unit
from spendra.kernel.governed_admin import ActForm, Done, Lines, OfUnarchived, Reason

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class _OrganizationFields(ActForm):
    name = forms.CharField(max_length=200, widget=AdminTextInputWidget)
    time_zone = forms.CharField(max_length=60, initial="UTC", help_text="In which days begin, such as Europe/Berlin.")
    week_starts_on = forms.TypedChoiceField(choices=list(enumerate(WEEKDAYS)), coerce=int, initial=0)
    fiscal_year_starts_month = forms.TypedChoiceField(
        choices=list(enumerate(MONTHS, start=1)), coerce=int, initial=1, help_text="In which budgets a year begin."
    )
    default_output_tokens = forms.IntegerField(
        required=False,
        min_value=1,
        help_text="Used where a request sets no output limit and its key has no default. Empty: the model's maximum.",
    )
    requires_cap = forms.BooleanField(required=False, help_text="Refuse requests to which no hard cap applies.")


class CreateOrganization(_OrganizationFields):
    title = "Add organization"
    note = "It needs a provider account before its keys reach anything: add one under Providers."
    slug = forms.CharField(max_length=60, help_text="Its short name, such as acme-eu. It cannot change.")
    field_order = ("slug",)

    def carry_out(self, *, acting: str) -> Done:
        made = organizations.create_organization(**self.cleaned_data, acting=acting)
        return Done(f"The organization {made} exists.", made)


class ChangeOrganization(_OrganizationFields):
    title = "Change organization"
    note = "A new time zone, first day of the week or month of the year acts from the next period on."

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {name: getattr(subject, name) for name in _OrganizationFields.base_fields}

    def carry_out(self, *, acting: str) -> Done:
        changed = organizations.change_organization(self.subject, **self.cleaned_data, acting=acting)
        return Done(f"The organization {changed} is changed.", changed)


class SuspendOrganization(ActForm):
    title = "Suspend organization"
    note = "Every request of its keys is refused from the next one on. What is running is settled."
    reason = Reason(required=True)

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.suspended_at is None

    def carry_out(self, *, acting: str) -> Done:
        subject = organizations.suspend_organization(self.subject, **self.cleaned_data, acting=acting)
        return Done(f"The organization {subject} is suspended.", subject)


class ResumeOrganization(ActForm):
    title = "Resume organization"
    reason = Reason()

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.suspended_at is not None

    def carry_out(self, *, acting: str) -> Done:
        subject = organizations.resume_organization(self.subject, **self.cleaned_data, acting=acting)
        return Done(f"The organization {subject} is no longer suspended.", subject)


class _Parents(ActForm):
    parents = Lines(
        required=False,
        help_text="One a line: a name, kind:name, or an id. Empty: directly below the organization.",
    )

    def found_parents(self, organization: Organization) -> list[Unit]:
        return [find_unit(organization, line) for line in self.cleaned_data["parents"]]


class CreateUnit(_Parents):
    title = "Add unit"
    organization = forms.ModelChoiceField(Organization.objects.all())
    kind = forms.ChoiceField(choices=UnitKind.choices)
    name = forms.CharField(max_length=200, widget=AdminTextInputWidget)
    field_order = ("organization", "kind", "name", "parents")

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        unit = units.create_unit(
            organization=data["organization"],
            kind=data["kind"],
            name=data["name"],
            parents=self.found_parents(data["organization"]),
            acting=acting,
        )
        return Done(f"The {unit} exists.", unit)


class MoveUnit(OfUnarchived, _Parents):
    title = "Move unit"
    note = "It will belong to exactly these. What was spent before stays where it was."

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        above = Unit.objects.filter(child_edges__child=subject)
        return {"parents": "\n".join(f"{unit.kind}:{unit.name}" for unit in above)}

    def carry_out(self, *, acting: str) -> Done:
        organization = self.subject.organization
        units.move(self.subject, organization=organization, parents=self.found_parents(organization), acting=acting)
        return Done(f"The {self.subject} is moved.", self.subject)


class RenameUnit(OfUnarchived):
    title = "Rename unit"
    name = forms.CharField(max_length=200, widget=AdminTextInputWidget)

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {"name": subject.name}

    def carry_out(self, *, acting: str) -> Done:
        unit = units.rename(self.subject, organization=self.subject.organization, acting=acting, **self.cleaned_data)
        return Done(f"It is the {unit} now.", unit)


class ArchiveUnit(OfUnarchived):
    title = "Archive unit"
    note = "Its history stays. The keys of an archived actor are refused from the next request on."
    reason = Reason(required=True)

    def carry_out(self, *, acting: str) -> Done:
        unit = units.archive(self.subject, organization=self.subject.organization, acting=acting, **self.cleaned_data)
        return Done(f"The {unit} is archived.", unit)


class RestoreUnit(ActForm):
    title = "Restore unit"
    note = "Keys that it has, and that are not revoked, work again."

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.archived_at is not None

    def carry_out(self, *, acting: str) -> Done:
        unit = units.restore(self.subject, organization=self.subject.organization, acting=acting)
        return Done(f"The {unit} is back.", unit)
