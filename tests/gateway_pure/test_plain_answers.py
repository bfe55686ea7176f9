"""A plain answer tells its model, tier and usage, or that it is none."""

import json
from decimal import Decimal

import pytest

from apps.gateway.answers import read_plain
from spendra.kernel.errors import UpstreamMalformed


def test_a_whole_answer_is_read() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    message = {"role": "assistant", "content": "Grüße", "tool_calls": None}
    body = {"model": "gpt-4o-2024-08-06", "service_tier": "flex", "choices": [{"message": message}], "usage": usage}
    answer = read_plain(json.dumps(body).encode())
    assert (answer.model, answer.service_tier, answer.usage) == ("gpt-4o-2024-08-06", "flex", usage)
    assert (answer.content_bytes, answer.is_complete) == (len("Grüße".encode()), True)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>502</html>", b"[]", b"null", b'{"a": 1', b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 9999],
)
def test_an_answer_that_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        read_plain(body)


def test_a_stated_cost_keeps_every_digit() -> None:
    answer = read_plain(b'{"usage": {"cost": 0.000142500000000000000001, "total_tokens": 3}}')
    assert answer.usage == {"cost": Decimal("0.000142500000000000000001"), "total_tokens": 3}


@pytest.mark.parametrize("body", [b"{}", b'{"usage": [], "choices": 5, "model": {}, "error": "down"}'])
def test_an_odd_answer_leaves_the_usage_unknown(body: bytes) -> None:
    assert read_plain(body).usage is None
