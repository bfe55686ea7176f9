"""Which dead letters an act is about, and how the audit trail tells of them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from apps.audit.recording import record
from apps.outbox.models import Delivery
from spendra.kernel.errors import NotFound


def locked(*, consumer: str, message_ids: Collection[UUID]) -> list[Delivery]:
    """In the order of their ids; empty arguments mean all. Raises NotFound where a message that is named is none."""
    dead = Delivery.objects.exclude(dead_at=None)
    if consumer:
        dead = dead.filter(consumer=consumer)
    if message_ids:
        dead = dead.filter(message_id__in=message_ids)
    found = list(dead.order_by("id").select_for_update())
    for missing in set(message_ids) - {delivery.message_id for delivery in found}:
        raise NotFound(f"Message {missing} is no dead letter{f' of {consumer}' if consumer else ''}.")
    return found


def tell(found: Sequence[Delivery], *, action: str, acting: str, reason: str) -> None:
    """One audit record a consumer and organization: one act may be about thousands of messages."""
    for (organization_id, consumer), letters in _grouped(found).items():
        record(
            organization_id=organization_id,
            actor=acting,
            action=action,
            object_kind="consumer",
            object_id=consumer,
            after={
                "messages": len(letters),
                "oldest": min(letter.created_at for letter in letters),
                "newest": max(letter.created_at for letter in letters),
            },
            reason=reason,
        )


def _grouped(found: Sequence[Delivery]) -> Mapping[tuple[UUID | None, str], list[Delivery]]:
    grouped: dict[tuple[UUID | None, str], list[Delivery]] = defaultdict(list)
    for delivery in found:
        grouped[delivery.organization_id, delivery.consumer].append(delivery)
    return grouped
