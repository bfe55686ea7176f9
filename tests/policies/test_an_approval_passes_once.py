import threading
import time
from concurrent.futures import ThreadPoolExecutor

from apps.policies.models import ApprovalUse
from spendra.kernel.ids import uuid7
from tests.databases import Database
from tests.policies.asking import free, use


def test_one_reservation_passes_and_does_again_where_its_reply_was_lost(database: Database) -> None:
    connection, approval, first = database.connect(), uuid7(), uuid7()
    assert use(connection, approval, first) is True
    assert use(connection, approval, first) is True
    assert use(connection, approval, uuid7()) is False
    assert use(connection, uuid7(), uuid7()) is True
    assert ApprovalUse.objects.get(approval_id=approval).reservation_id == first


def test_a_voided_reservation_leaves_it_to_the_next(database: Database) -> None:
    connection, approval, voided, kept = database.connect(), uuid7(), uuid7(), uuid7()
    use(connection, approval, voided)
    free(connection, uuid7(), voided)
    assert use(connection, approval, kept) is True
    free(connection, voided)
    assert use(connection, approval, uuid7()) is False


def test_a_reserve_that_is_rolled_back_has_not_used_it(database: Database) -> None:
    connection, approval = database.connect(), uuid7()
    with connection.transaction(force_rollback=True):
        assert use(connection, approval, uuid7()) is True
    assert use(connection, approval, uuid7()) is True


def test_of_callers_at_once_one_passes(database: Database) -> None:
    approvals = [uuid7() for _ in range(20)]
    connections = [database.connect() for _ in range(6)]

    def use_all(number: int) -> list[bool]:
        return [use(connections[number], approval, uuid7()) for approval in approvals]

    with ThreadPoolExecutor(len(connections)) as callers:
        passed = list(callers.map(use_all, range(len(connections))))
    assert [sum(of_one) for of_one in zip(*passed, strict=True)] == [1] * len(approvals)


def test_whoever_waits_for_a_reserve_that_rolls_back_passes(database: Database) -> None:
    first, second, approval = database.connect(), database.connect(), uuid7()
    outcome: list[bool] = []
    waiter = threading.Thread(target=lambda: outcome.append(use(second, approval, uuid7())))
    with first.transaction(force_rollback=True):
        assert use(first, approval, uuid7()) is True
        waiter.start()
        while not waits(database, second.info.backend_pid):
            time.sleep(0.01)
    waiter.join()
    assert outcome == [True]


def waits(database: Database, pid: int) -> bool:
    query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    return bool(database.connect().execute(query, [pid]).fetchone()[0])
