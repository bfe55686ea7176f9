"""Who hears what of the outbox: the one list of consumers. They are called in this order.

Rollups come last, since every relay wants the same few rows of them: they are locked for the shortest time so.
"""

from collections.abc import Collection
from datetime import datetime
from functools import partial

from apps.budgets import alerting
from apps.budgets.models import Period, PeriodKind
from apps.ledger import rollups
from apps.outbox.types import Consumer

# Windows of a minute or an hour are limits of a rate: nobody asks what they were spent on.
_RATES = (PeriodKind.MINUTE, PeriodKind.HOUR)


def reported_periods(ids: Collection[int]) -> dict[int, datetime]:
    periods = Period.objects.filter(id__in=ids).exclude(budget__period_kind__in=_RATES)
    return dict(periods.values_list("id", "starts_at"))


CONSUMERS = (
    Consumer(alerting.CONSUMER, frozenset({rollups.TOPIC}), alerting.note_crossings),
    Consumer(rollups.CONSUMER, frozenset({rollups.TOPIC}), partial(rollups.count, reported=reported_periods)),
)
