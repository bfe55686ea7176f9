"""What the worker does about its own tasks; when, is in spendra/schedules.py."""

from datetime import timedelta

from django.utils import timezone
from django_q.models import Failure

# django-q2 keeps a number of successes and every failure.
_KEPT = timedelta(days=30)


def forget_failures() -> int:
    """Forgets failed tasks after 30 days; returns how many."""
    forgotten: int = Failure.objects.filter(stopped__lt=timezone.now() - _KEPT).delete()[0]
    return forgotten
