from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from apps.outbox import dead_letters
from apps.outbox.models import Delivery
from spendra.kernel.errors import Invalid


@transaction.atomic
def discard(*, acting: str, reason: str, consumer: str = "", message_ids: Collection[UUID] = ()) -> int:
    """Gives dead letters of a consumer, or single ones, up for good; returns how many. Their consumer never takes them.

    One audit record a consumer and organization. Raises Invalid without a reason, or where neither is named, NotFound
    where a message that is named is no dead letter. Locks the deliveries, in the order of their ids.
    """
    if not reason.strip():
        raise Invalid("Giving facts up needs a reason: it is all that is left of them.", param="reason")
    if not consumer and not message_ids:
        raise Invalid("Name a consumer or messages: all dead letters at once are never given up.", param="consumer")
    found = dead_letters.locked(consumer=consumer, message_ids=message_ids)
    Delivery.objects.filter(id__in=[delivery.id for delivery in found]).delete()
    dead_letters.tell(found, action="outbox.discard", acting=acting, reason=reason)
    return len(found)
