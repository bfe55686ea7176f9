from django.contrib import admin

from apps.identity import admin_forms
from apps.identity.models import Person
from spendra.kernel.governed_admin import GovernedAdmin


@admin.register(Person)
class PersonAdmin(GovernedAdmin):
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login", "created_at")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "name", "id")
    ordering = ("email",)
    fields = readonly_fields = (
        "id", "email", "name", "is_active", "is_staff", "is_superuser", "last_login", "created_at",
    )  # fmt: skip
    audited_kind = "person"
    creation = admin_forms.CreatePerson
    acts = {"change": admin_forms.ChangePerson, "password": admin_forms.SetPassword}
