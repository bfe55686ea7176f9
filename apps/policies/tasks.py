"""What the worker does for this room; when, is in spendra/schedules.py. Each may run twice at once."""

from apps.policies import forgetting, lapsing


def forget_refusals() -> int:
    return forgetting.forget_refusals()


def lapse_reviews() -> int:
    return lapsing.lapse_reviews()
