import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Model

from apps.audit.models import AuditRecord
from spendra.kernel import clock


def record(
    *,
    organization_id: UUID | None,
    actor: str,
    action: str,
    object_kind: str,
    object_id: object,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    reason: str = "",
) -> AuditRecord:
    """Appends what `actor` changed, in the transaction of the change: both commit or neither does.

    `actor` is an e-mail address or `command:<name>`, `action` is `room.verb`. Ids and instants in `before` and `after`
    become strings; the caller leaves secrets out. Raises TransactionManagementError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("an audit record belongs into the transaction of its change")
    return AuditRecord.objects.create(
        at=clock.now(),
        organization_id=organization_id,
        actor=actor,
        action=action,
        object_kind=object_kind,
        object_id=str(object_id),
        before=_plain(before),
        after=_plain(after),
        reason=reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail:
    """What the records about one kind of row have in common, said once in the row's room."""

    room: str
    kind: str
    fields: tuple[str, ...] = ()  # those that `state` tells
    id_field: str = "id"
    organization_field: str | None = "organization_id"  # None where rows belong to the whole installation

    def state(self, row: Model) -> dict[str, object]:
        return {name: getattr(row, name) for name in self.fields}

    def record(
        self,
        verb: str,
        row: Model,
        *,
        acting: str,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        reason: str = "",
    ) -> None:
        """`record` with what the row itself says."""
        record(
            organization_id=getattr(row, self.organization_field) if self.organization_field else None,
            actor=acting,
            action=f"{self.room}.{verb}",
            object_kind=self.kind,
            object_id=getattr(row, self.id_field),
            before=before,
            after=after,
            reason=reason,
        )

    def record_change(
        self, verb: str, row: Model, *, before: Mapping[str, object], acting: str, reason: str = ""
    ) -> None:
        """From the state before to what it is now."""
        self.record(verb, row, before=before, after=self.state(row), acting=acting, reason=reason)


def _plain(values: Mapping[str, object] | None) -> Any:
    return None if values is None else json.loads(json.dumps(values, cls=DjangoJSONEncoder))
