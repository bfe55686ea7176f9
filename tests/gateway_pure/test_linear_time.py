"""Hostile input costs time in proportion to its length: eight times the input, far less than 64 times the time."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from apps.gateway.headers import check_headers, require_json
from apps.gateway.parsing import parse_chat_request
from apps.gateway.splicing import splice
from apps.gateway.sse import SseTap
from spendra.kernel.errors import SpendraError

HEAD = b'{"model":"m","stream":true,"stream_options":{},"messages":[{"content":"Hi"}],'


def parse_and_splice(body: bytes) -> None:
    splice(parse_chat_request(body), include_usage=True)


def tap(stream: bytes) -> None:
    one = SseTap(hide_usage=True)
    for start in range(0, len(stream), 5):
        one.feed(stream[start : start + 5])
    one.finish()


def read_headers(value: bytes) -> None:
    headers = [(b"content-type", b"application/json" + value)]
    check_headers(headers)
    require_json(headers)


@pytest.mark.parametrize(
    ("act", "length", "make"),
    [
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":"' + b"\\" * 2 * n + b'"}'),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":"' + b"\\" * (2 * n + 1)),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":"' + b'\\"' * n),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":"' + b"\\\\u0000" * n + b'"}'),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":"' + b'",[{' * n),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":[' + b"0," * n),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":' + b"[" * n),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":' + b" " * n + b"1}"),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":1' + b"0" * n + b"}"),
        (parse_and_splice, 110_000, lambda n: HEAD + b'"a":0.' + b"0" * n + b"}"),
        (
            parse_and_splice,
            150_000,
            lambda n: HEAD + b'"a":{' + b",".join(b'"%d":0' % i for i in range(n // 16)) + b',"0":0}}',
        ),
        (tap, 4_000, lambda n: b"data: " + b"a" * n),
        (tap, 4_000, lambda n: b"data: " + b"\r\n" * n),
        (tap, 4_000, lambda n: b"\r" * n),
        (tap, 4_000, lambda n: b"data: {}\n\n" * (n // 8)),
        (read_headers, 4_000, lambda n: b";" * n),
        (read_headers, 4_000, lambda n: b" " * n),
    ],
)
def test_time_grows_with_the_length_and_no_faster(
    act: Callable[[bytes], None], length: int, make: Callable[[int], bytes]
) -> None:
    def seconds(length: int) -> float:
        subject = make(length)
        start = time.process_time()
        with suppress(SpendraError):
            act(subject)
        return time.process_time() - start

    small = min(seconds(length) for _ in range(3))
    large = min(seconds(8 * length) for _ in range(3))
    assert large < max(small, 0.001) * 30
