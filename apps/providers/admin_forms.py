"""The acts of this room's admin pages: one form a use case."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget

from apps.orgs.models import Organization
from apps.providers import accounts
from spendra.kernel.governed_admin import Done, OfUnarchived, Reason


class _AccountFields(OfUnarchived):
    base_url = forms.CharField(
        label="Base URL",
        max_length=500,
        required=False,
        widget=AdminTextInputWidget,
        help_text="Empty: the provider's own, or what OPENAI_BASE_URL and its siblings say.",
    )
    credential_reference = forms.CharField(
        max_length=500,
        widget=AdminTextInputWidget,
        help_text="Where the secret is kept, never the secret itself: env:NAME or file:/absolute/path.",
    )


class CreateAccount(_AccountFields):
    title = "Add provider account"
    organization = forms.ModelChoiceField(Organization.objects.all())
    provider = forms.CharField(max_length=40, initial="openai")
    field_order = ("organization", "provider")

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {"credential_reference": "env:OPENAI_API_KEY"}

    def carry_out(self, *, acting: str) -> Done:
        account = accounts.create_account(**self.cleaned_data, acting=acting)
        return Done(f"{account.organization} has an account at {account.provider}.", account)


class ChangeAccount(_AccountFields):
    title = "Change provider account"
    note = "The next request goes by what is said here."

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {"base_url": subject.base_url, "credential_reference": subject.credential_reference}

    def carry_out(self, *, acting: str) -> Done:
        account = accounts.change_account(
            self.subject.id, organization=self.subject.organization, **self.cleaned_data, acting=acting
        )
        return Done(f"The account at {account.provider} is changed.", account)


class ArchiveAccount(OfUnarchived):
    title = "Archive provider account"
    note = "The organization reaches this provider no more, from the next request on."
    reason = Reason(required=True)

    def carry_out(self, *, acting: str) -> Done:
        account = accounts.archive_account(
            self.subject.id, organization=self.subject.organization, **self.cleaned_data, acting=acting
        )
        return Done(f"The account at {account.provider} is archived.", account)
