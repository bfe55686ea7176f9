from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError
from psycopg import errors

_TRIES = 3
_PASSING = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)

Result = TypeVar("Result")


def again(act: Callable[[], Result], *, tries: int = _TRIES) -> Result:
    """What `act` returns; it owns its transaction, and is tried three times over deadlocks and waits for a lock."""
    for _ in range(tries - 1):
        try:
            return act()
        except OperationalError as error:
            if not isinstance(error.__cause__, _PASSING):
                raise
    return act()
