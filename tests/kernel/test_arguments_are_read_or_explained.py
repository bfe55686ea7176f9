from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from spendra.kernel.arguments import duration, instant, nanos


def test_what_is_written_as_told_is_read() -> None:
    assert nanos("1.50") == 1_500_000_000
    assert duration("4w") == timedelta(weeks=4)
    assert instant("2025-11-02T14:00+01:00") == datetime(2025, 11, 2, 13, tzinfo=UTC)
    assert instant("2025-11-02T13:00Z").tzinfo is UTC


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        (nanos, "1,50", "write it like 12.50"),
        (nanos, "0.0000000001", "at most nine decimals"),
        (duration, "soon", "write it like 30d"),
        (instant, "tomorrow", "write it like 2025-11-02T14:00"),
        (instant, "2025-11-02T14:00", "needs a time zone"),
        (instant, "9999-12-31T23:00-05:00", "is no instant"),
        (instant, "0001-01-01T00:00+05:00", "is no instant"),
    ],
)
def test_what_is_not_is_refused_with_how_to_write_it(read, text: str, sentence: str) -> None:
    with pytest.raises(ArgumentTypeError, match=sentence):
        read(text)
