"""One consumer and a batch of messages: which of them can't it take?"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled, SerializationFailure

from apps.outbox.types import Consumer, Message

# So many in a row, each alone, and it is not the messages that are at fault.
_MOST_CULPRITS = 10
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Failure:
    message: Message
    error: str


def attempt(consumer: Consumer, messages: Sequence[Message]) -> list[Failure]:
    """Hands the batch over within the caller's transaction; returns what failed, of which no effect remains.

    A part that fails is halved down to the culprits, so that one of them does not keep the others. What is nobody's
    fault (the connection, a deadlock) is raised: the caller's transaction is lost, and all of it comes again.
    """
    failures: list[Failure] = []
    parts = [list(messages)] if messages else []
    in_a_row = 0
    while parts:
        part = parts.pop()
        if in_a_row >= _MOST_CULPRITS:
            failures += [Failure(message, failures[-1].error) for message in part]
        elif (error := _hand_over(consumer, part)) is None:
            in_a_row = 0
        elif len(part) == 1 or _was_kept_waiting(error):
            in_a_row += 1
            failures += [Failure(message, _told(error)) for message in part]
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return failures


def _hand_over(consumer: Consumer, part: list[Message]) -> Exception | None:
    try:
        with transaction.atomic():
            consumer.consume(part)
    except Exception as error:
        if _is_passing(error):
            raise
        return error
    return None


def _is_passing(error: Exception) -> bool:
    is_broken = connection.connection is None or connection.connection.closed
    return is_broken or isinstance(error.__cause__, (DeadlockDetected, SerializationFailure))


def _was_kept_waiting(error: Exception) -> bool:
    """By a lock or by its own work: each half would be, too."""
    return isinstance(error.__cause__, (LockNotAvailable, QueryCanceled))


def _told(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".strip()[:_LONGEST_ERROR]
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()
