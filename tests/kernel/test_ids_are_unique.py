import multiprocessing
import time

from spendra.kernel.ids import uuid7, uuid7_at, uuid7_time


def test_ids_of_one_millisecond_differ_and_say_their_time_and_version() -> None:
    ids = {uuid7_at(1_700_000_000_000) for _ in range(100_000)}
    assert len(ids) == 100_000
    assert {(made.version, made.variant) for made in ids} == {(7, "specified in RFC 4122")}
    assert {uuid7_time(made).timestamp() for made in ids} == {1_700_000_000}


def test_ids_sort_by_the_time_they_were_made_at() -> None:
    earlier = uuid7()
    time.sleep(0.002)
    assert earlier < uuid7()


def test_a_forked_process_makes_other_ids_than_its_parent() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        of_children = pool.map(uuid7_at, [5] * 20, chunksize=1)
    assert len({*of_children, *(uuid7_at(5) for _ in range(20))}) == 40
