"""One consumer and a batch of messages: which of them can't it take?"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled, SerializationFailure

from apps.outbox.types import Consumer, Message

# So many in a row, each alone or each over its time, and it is not the messages that are at fault.
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
    in_a_row, told = 0, ""
    while parts:
        part = parts.pop()
        if in_a_row >= _MOST_CULPRITS:
            failures += [Failure(message, told) for message in part]
            continue
        if (error := _hand_over(consumer, part)) is None:
            in_a_row = 0
            continue
        told = _told(error)
        is_culprit = len(part) == 1 or _waited_for_a_lock(error)
        in_a_row += is_culprit or _took_too_long(error)
        if is_culprit:
            failures += [Failure(message, told) for message in part]
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


def _waited_for_a_lock(error: Exception) -> bool:
    """Each half would, too, and as long."""
    return isinstance(error.__cause__, LockNotAvailable)


def _took_too_long(error: Exception) -> bool:
    """A half has less to do. But each try costs a minute, so there must not be many in vain."""
    return isinstance(error.__cause__, QueryCanceled)


def _told(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".strip()[:_LONGEST_ERROR]
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()
