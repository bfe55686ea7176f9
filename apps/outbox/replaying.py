from collections import Counter
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.audit.recording import record
from apps.outbox.models import Delivery
from spendra.kernel.errors import NotFound


@transaction.atomic
def replay(*, acting: str, consumer: str = "", message_ids: Collection[UUID] = (), reason: str = "") -> int:
    """Gives dead letters all their attempts anew, the first at once; returns how many. Empty arguments mean all.

    One audit record a consumer and organization. NotFound where a message that is named is no dead letter. Locks the
    deliveries, in the order of their ids.
    """
    dead = Delivery.objects.exclude(dead_at=None)
    if consumer:
        dead = dead.filter(consumer=consumer)
    if message_ids:
        dead = dead.filter(message_id__in=message_ids)
    found = list(dead.order_by("id").select_for_update())
    for missing in set(message_ids) - {delivery.message_id for delivery in found}:
        raise NotFound(f"Message {missing} is no dead letter{f' of {consumer}' if consumer else ''}.")
    Delivery.objects.filter(id__in=[delivery.id for delivery in found]).update(
        attempts=0, dead_at=None, next_attempt_at=F("dead_at")
    )
    _record(found, acting, reason)
    return len(found)


def _record(replayed: Collection[Delivery], acting: str, reason: str) -> None:
    counts = Counter((delivery.organization_id, delivery.consumer) for delivery in replayed)
    for (organization_id, consumer), count in counts.items():
        record(
            organization_id=organization_id,
            actor=acting,
            action="outbox.replay",
            object_kind="consumer",
            object_id=consumer,
            after={"messages": count},
            reason=reason,
        )
