from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Spent:
    """A sum of ledger entries. `estimated_nanos` is the part booked without the provider's count; what a correction
    took back from it is in the rest, so that the two add up to what was spent."""

    amount_nanos: int
    estimated_nanos: int
    tokens: int
    requests: int


@dataclass(frozen=True, slots=True)
class SpentInHour:
    hour: datetime
    spent: Spent


@dataclass(frozen=True, slots=True)
class SpentOnDay:
    day: date
    spent: Spent


@dataclass(frozen=True, slots=True)
class SpentOnModel:
    provider: str
    model: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class SpentByKey:
    key_id: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class SpentOnProvider:
    provider: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class SpentInStatus:
    status: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class SpentInUnit:
    unit_id: UUID
    spent: Spent
