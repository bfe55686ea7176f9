"""The acts of this room's admin pages: one form a use case."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget

from apps.identity import people
from spendra.kernel.governed_admin import ActForm, Done, Reason


class _NewPassword(ActForm):
    password = forms.CharField(
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters, and none that everybody uses.",
    )
    password_again = forms.CharField(
        strip=False, max_length=4096, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("password") != self.cleaned_data.pop("password_again", None):
            raise forms.ValidationError("The two passwords differ.")
        return self.cleaned_data


class _Rights(ActForm):
    name = forms.CharField(max_length=200, required=False, widget=AdminTextInputWidget)
    is_staff = forms.BooleanField(required=False, label="May sign in to these pages")
    is_superuser = forms.BooleanField(required=False, label="May do everything here")


class CreatePerson(_Rights, _NewPassword):
    title = "Add person"
    email = forms.EmailField(widget=AdminTextInputWidget)
    field_order = ("email", "name", "password", "password_again")

    def carry_out(self, *, acting: str) -> Done:
        person = people.create_person(**self.cleaned_data, acting=acting)
        return Done(f"{person} can sign in.", person)


class ChangePerson(_Rights):
    title = "Change person"
    is_active = forms.BooleanField(required=False, label="May sign in at all")
    reason = Reason()

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {name: getattr(subject, name) for name in ("name", "is_active", "is_staff", "is_superuser")}

    def carry_out(self, *, acting: str) -> Done:
        person = people.change_person(self.subject, **self.cleaned_data, acting=acting)
        return Done(f"{person} is changed.", person)


class SetPassword(_NewPassword):
    title = "Set password"
    note = "Every session of this person ends."

    def carry_out(self, *, acting: str) -> Done:
        people.set_password(self.subject, **self.cleaned_data, acting=acting)
        return Done(f"{self.subject} has a new password.", self.subject)
