import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

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


def _plain(values: Mapping[str, object] | None) -> Any:
    return None if values is None else json.loads(json.dumps(values, cls=DjangoJSONEncoder))
