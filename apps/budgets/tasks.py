"""What the worker does for this room; when, is in spendra/schedules.py. Each may run twice at once."""

import logging

from django.conf import settings

from apps.budgets import alerting, forgetting, maintenance, retention, seeding

log = logging.getLogger(__name__)


def ensure_partitions() -> int:
    return maintenance.ensure_partitions()


def open_periods_ahead() -> int:
    return seeding.open_ahead()


def forget_short_periods() -> int:
    return forgetting.forget_short_periods()


def look_at_thresholds() -> int:
    return alerting.look_again()


def prune_changes() -> int:
    return maintenance.prune_changes()


def apply_retention() -> int:
    """How many months have gone; none where everything is kept. The log tells which ones should have gone, and why not:
    wrong books among the reasons."""
    if settings.RETENTION_MONTHS is None:
        return 0
    done = retention.apply(months=settings.RETENTION_MONTHS, acting="task:apply_retention")
    for month in done:
        if month.state != "dropped":
            log.warning("the month %s is not dropped yet, %s: %s", f"{month.month:%Y-%m}", month.state, month.why)
    return sum(month.state == "dropped" for month in done)
