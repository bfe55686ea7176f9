from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.outbox import dead_letters
from apps.outbox.models import Delivery


@transaction.atomic
def replay(*, acting: str, consumer: str = "", message_ids: Collection[UUID] = (), reason: str = "") -> int:
    """Gives dead letters all their attempts anew, the first at once; returns how many. Empty arguments mean all.

    One audit record a consumer and organization. NotFound where a message that is named is no dead letter. Locks the
    deliveries, in the order of their ids.
    """
    found = dead_letters.locked(consumer=consumer, message_ids=message_ids)
    Delivery.objects.filter(id__in=[delivery.id for delivery in found]).update(
        attempts=0, dead_at=None, next_attempt_at=F("dead_at")
    )
    dead_letters.tell(found, action="outbox.replay", acting=acting, reason=reason)
    return len(found)
