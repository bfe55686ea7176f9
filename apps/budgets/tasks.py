"""What the worker does for this room; when, is in spendra/schedules.py. Each may run twice at once."""

from apps.budgets import forgetting, maintenance, seeding


def ensure_partitions() -> int:
    return maintenance.ensure_partitions()


def open_periods_ahead() -> int:
    return seeding.open_ahead()


def forget_short_periods() -> int:
    return forgetting.forget_short_periods()


def prune_changes() -> int:
    return maintenance.prune_changes()
