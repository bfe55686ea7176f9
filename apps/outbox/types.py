from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Message:
    id: UUID
    organization_id: UUID | None
    topic: str
    payload: Mapping[str, Any]
    created_at: datetime


# Takes effect on all of the messages or raises. It writes to the database alone, in the transaction it is called in:
# what it wrote and the acknowledgement are then one commit. What must reach the world outside, it queues as a row.
Consume: TypeAlias = Callable[[Sequence[Message]], None]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Hears every message of its topics, each once in effect, in no order. The name is kept in rows: never renamed."""

    name: str
    topics: frozenset[str]
    consume: Consume
