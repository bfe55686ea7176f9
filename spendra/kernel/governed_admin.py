"""Admin pages of governed rows. They show rows as they are; what changes one is an act, a form that calls a use case.

So a page cannot write past the rules, the audit record, or what an operator is told where a use case refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime, AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from spendra.kernel.errors import SpendraError

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


@dataclass(frozen=True, slots=True)
class Done:
    """What an act answers: a sentence, the row whose page comes next (the list where it is gone), and what is shown
    this once and kept nowhere."""

    message: str
    subject: Model | None
    shown_once: str = ""


class ActForm(forms.Form):
    """One use case as a form. Its fields are the use case's arguments; `subject` is None where it creates a row."""

    title: ClassVar[str]
    note: ClassVar[str] = ""

    def __init__(self, *args: Any, subject: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject

    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        """Whether the row, as it is, can be acted upon in this way."""
        return True

    @classmethod
    def initial_of(cls, subject: Any) -> dict[str, Any]:
        return {}

    def carry_out(self, *, acting: str) -> Done:
        """Calls the use case with `cleaned_data`; a SpendraError is shown at the form."""
        raise NotImplementedError


class OfUnarchived(ActForm):
    @classmethod
    def is_offered(cls, subject: Any) -> bool:
        return subject.archived_at is None


class Reason(forms.CharField):
    def __init__(self, *, required: bool = False) -> None:
        super().__init__(
            max_length=500, required=required, widget=AdminTextInputWidget, help_text="Kept in the audit record."
        )


class Lines(forms.CharField):
    """Several values, one a line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=AdminTextareaWidget(attrs={"rows": 4}), **options)

    def clean(self, value: Any) -> list[str]:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class InstantInput(AdminSplitDateTime):
    """The words before Django's two inputs are no labels."""

    def __init__(self) -> None:
        super().__init__()
        for widget, name in zip(self.widgets, ("Date", "Time"), strict=True):
            widget.attrs["aria-label"] = name


class ReadOnlyAdmin(_ModelAdmin):
    list_per_page = 50
    show_full_result_count = False
    # They would count the rows of every choice.
    show_facets = admin.ShowFacets.NEVER

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # Where the id is text, Postgres would refuse the question: no row has a NUL in its id.
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class GovernedAdmin(ReadOnlyAdmin):
    """`creation` is the act behind "Add"; `acts` are those on the page of a row, by the name in their URL."""

    change_form_template = "admin/governed_row.html"
    creation: ClassVar[type[ActForm] | None] = None
    acts: ClassVar[Mapping[str, type[ActForm]]] = {}
    # How audit records call these rows: the history of a row is the audit's.
    audited_kind: ClassVar[str]
    audited_field: ClassVar[str] = "pk"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.creation is not None and request.user.has_perm(f"{self.opts.app_label}.add_{self.opts.model_name}")

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def get_urls(self) -> list[URLPattern]:
        act = path("<path:object_id>/act/<slug:act>/", self.admin_site.admin_view(self.act_view), name=self._act_url())
        return [act, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"acts": self._offered(request, object_id), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.creation is None or not self.has_add_permission(request):
            raise PermissionDenied
        return self._answer(request, self.creation, None)

    def act_view(self, request: HttpRequest, object_id: str, act: str) -> HttpResponse:
        subject = self.get_object(request, object_id)
        if subject is None or act not in self.acts:
            raise Http404
        if not self.has_act_permission(request):
            raise PermissionDenied
        return self._answer(request, self.acts[act], subject)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        subject = self.get_object(request, object_id)
        if subject is None:
            raise Http404
        query = {"object_kind": self.audited_kind, "object_id": str(getattr(subject, self.audited_field))}
        return HttpResponseRedirect(f"{reverse('admin:audit_auditrecord_changelist')}?{urlencode(query)}")

    def _answer(self, request: HttpRequest, form_class: type[ActForm], subject: Model | None) -> HttpResponse:
        if request.method != "POST":
            asked = {name: value for name, value in request.GET.items() if name in form_class.base_fields}
            return self._page(request, form_class(subject=subject, initial={**form_class.initial_of(subject), **asked}))
        form = form_class(request.POST, subject=subject)
        if form.is_valid():
            try:
                return self._done(request, form.carry_out(acting=request.user.get_username()))
            except SpendraError as error:
                form.add_error(error.param if error.param in form.fields else None, error.message)
        return self._page(request, form)

    def _page(self, request: HttpRequest, form: ActForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": form.title,
            "opts": self.opts,
            "original": form.subject,
            "form": form,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/act.html", context)

    def _done(self, request: HttpRequest, done: Done) -> HttpResponse:
        url = self._url_after(done)
        if not done.shown_once:
            self.message_user(request, done.message, messages.SUCCESS)
            return HttpResponseRedirect(url)
        # No redirect: the secret would have to be kept somewhere until the next request.
        context = {
            **self.admin_site.each_context(request),
            "title": done.message,
            "opts": self.opts,
            "original": done.subject,
            "shown_once": done.shown_once,
            "next_url": url,
        }
        return TemplateResponse(request, "admin/shown_once.html", context)

    def _url_after(self, done: Done) -> str:
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{page}_change", args=[done.subject.pk]) if done.subject else reverse(f"{page}_changelist")

    def _offered(self, request: HttpRequest, object_id: str) -> list[dict[str, str]]:
        subject = self.get_object(request, object_id)
        if subject is None or not self.has_act_permission(request):
            return []
        return [
            {"title": form.title, "url": reverse(f"admin:{self._act_url()}", args=[subject.pk, name])}
            for name, form in self.acts.items()
            if form.is_offered(subject)
        ]

    def _act_url(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_act"
