"""The admin site: its name, the order of its sections, and a change of one's own password that is audited."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.identity import people
from apps.identity.models import Person

# As a request meets them: who asks, for what, under which cap, what it cost; then what stands behind.
_SECTIONS = (
    "orgs",
    "keys",
    "policies",
    "budgets",
    "ledger",
    "catalog",
    "providers",
    "identity",
    "audit",
    "outbox",
    "django_q",
)


class OwnPasswordForm(AdminPasswordChangeForm):
    def save(self, commit: bool = True) -> Person:
        """Through the use case: Django's own form would leave no audit record."""
        person: Person = self.user
        people.set_password(person, password=self.cleaned_data["new_password1"], acting=person.get_username())
        person.refresh_from_db()
        return person


class SpendraAdminSite(admin.AdminSite):
    site_header = site_title = "Spendra"
    index_title = "Administration"
    # "/" leads here: a link to it would go in a circle.
    site_url = None

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Sections as `_SECTIONS` has them; inside one, the order in which its room registers its tables."""
        places = {model: place for place, model in enumerate(self._registry)}
        sections = super().get_app_list(request, app_label)
        for section in sections:
            section["models"].sort(key=lambda listed: places[listed["model"]])
        return sorted(sections, key=lambda section: _SECTIONS.index(section["app_label"]))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        view: Any = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        answer: TemplateResponse = view(request)
        return answer
