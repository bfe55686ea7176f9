"""Registered in spendra/admin.py, which adds the names of organizations: this room knows their ids only."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.outbox import discarding, replaying
from apps.outbox.models import Delivery
from spendra.kernel.big_table_admin import BigTable
from spendra.kernel.governed_admin import ActForm, Done, GovernedAdmin, Reason


class OutboxMessageAdmin(BigTable):
    list_display = ("created_at", "topic", "organization", "id")
    sought = ("id", "topic")
    search_help_text = "The whole id of a message, or a whole topic."


class Replay(ActForm):
    title = "Deliver again"
    note = "The consumer gets all its attempts anew, the first within seconds."
    reason = Reason()

    @classmethod
    def is_offered(cls, subject: Delivery) -> bool:
        return subject.dead_at is not None

    def carry_out(self, *, acting: str) -> Done:
        replaying.replay(
            acting=acting,
            consumer=self.subject.consumer,
            message_ids=[self.subject.message_id],
            reason=self.cleaned_data["reason"],
        )
        return Done("The message is due again.", self.subject)


class Discard(ActForm):
    title = "Give up"
    note = "The consumer will never take this message. Sums that lack it are mended by rollups_rebuild alone."
    reason = Reason(required=True)

    @classmethod
    def is_offered(cls, subject: Delivery) -> bool:
        return subject.dead_at is not None

    def carry_out(self, *, acting: str) -> Done:
        discarding.discard(
            acting=acting,
            consumer=self.subject.consumer,
            message_ids=[self.subject.message_id],
            reason=self.cleaned_data["reason"],
        )
        return Done("The message is given up.", None)


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("waiting", "to be tried again"), ("dead", "dead letter")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(dead_at__isnull=self.value() == "waiting") if self.value() else queryset


class DeliveryAdmin(BigTable, GovernedAdmin):
    list_display = ("created_at", "consumer", "topic", "attempts", "state", "organization")
    sought = ("id", "message_id", "consumer", "topic")
    search_help_text = "The whole id of a message, or a whole consumer or topic."
    fields = readonly_fields = (
        "message_id", "organization", "consumer", "topic", "said", "created_at", "state", "attempts",
        "next_attempt_at", "last_error",
    )  # fmt: skip
    acts = {"replay": Replay, "discard": Discard}
    # Both are recorded for the consumer: one act may be about thousands of messages.
    audited_kind = "consumer"
    audited_field = "consumer"

    @admin.display
    def state(self, delivery: Delivery) -> str:
        return "to be tried again" if delivery.dead_at is None else "dead letter"

    @admin.display(description="message")
    def said(self, delivery: Delivery) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(delivery.payload, indent=2, ensure_ascii=False, sort_keys=True))
