"""A splice changes what it must and no other byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.parsing import parse_chat_request
from apps.gateway.splicing import splice

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.none() | st.fixed_dictionaries(
    {}, optional={"include_usage": st.none() | st.booleans(), "include_obfuscation": st.booleans(), "é": VALUES}
)
BODIES = st.fixed_dictionaries(
    {
        "model": st.just("gpt-4o"),
        "messages": st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), min_size=1, max_size=3),
    },
    optional={
        "stream": st.none() | st.booleans(),
        "stream_options": OPTIONS,
        "max_tokens": st.none() | st.integers(1, 10**6),
        "metadata": VALUES,
        '"max_tokens":': VALUES,
        "stream_options ": VALUES,
    },
)
LAYOUTS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.none() | st.integers(0, 2) | st.just("\t"),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" , ", "\t:\r\n")]),
    }
)


def expected(data: dict[str, Any], *, output_limit: int | None) -> dict[str, Any]:
    changed = dict(data)
    if data.get("stream"):
        changed["stream_options"] = {**(data.get("stream_options") or {}), "include_usage": True}
    if output_limit is not None:
        changed["max_tokens" if data.get("max_tokens") else "max_completion_tokens"] = output_limit
    return changed


def common_length(one: bytes, other: bytes) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def replaced(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """What stands between the longest common beginning and end."""
    start = common_length(before, after)
    end = common_length(before[start:][::-1], after[start:][::-1])
    return before[start : len(before) - end], after[start : len(after) - end]


@given(BODIES, LAYOUTS, st.none() | st.integers(1, 10**6))
def test_a_spliced_body_reads_as_before_but_for_the_change(
    data: dict[str, Any], layout: dict[str, Any], output_limit: int | None
) -> None:
    body = json.dumps(data, **layout).encode()
    spliced = splice(parse_chat_request(body), include_usage=True, output_limit=output_limit)
    assert json.loads(spliced) == expected(data, output_limit=output_limit)
    parse_chat_request(spliced)


@given(BODIES, LAYOUTS)
def test_asking_for_usage_touches_one_place(data: dict[str, Any], layout: dict[str, Any]) -> None:
    body = json.dumps(data, **layout).encode()
    old, new = replaced(body, splice(parse_chat_request(body), include_usage=True))
    assert old in (b"", b"null", b"nul", b"false", b"fals")
    assert len(new) <= len(b'"stream_options":{"include_usage":true},')


@given(BODIES, LAYOUTS, st.integers(1, 10**6))
def test_setting_a_limit_touches_one_place(data: dict[str, Any], layout: dict[str, Any], limit: int) -> None:
    body = json.dumps(data, **layout).encode()
    old, new = replaced(body, splice(parse_chat_request(body), include_usage=False, output_limit=limit))
    assert old == b"" or old.isdigit()
    assert len(new) <= len(b'"max_completion_tokens":1000000,')


@pytest.mark.parametrize(
    ("options", "becomes"),
    [
        ("", '"stream_options":{"include_usage":true},'),
        ('"stream_options": null,', '"stream_options": {"include_usage":true},'),
        ('"stream_options": {},', '"stream_options": {"include_usage":true},'),
        ('"stream_options": { },', '"stream_options": {"include_usage":true },'),
        ('"stream_options": {"a": 1},', '"stream_options": {"include_usage":true,"a": 1},'),
        ('"stream_options":{"include_usage" : false},', '"stream_options":{"include_usage" : true},'),
        ('"stream\\u005foptions":{"include_usage":null},', '"stream\\u005foptions":{"include_usage":true},'),
    ],
)
def test_asking_for_usage_in_each_shape(options: str, becomes: str) -> None:
    rest = '"model":"m", "stream":true,"messages":[{"content":"ü \\" { \\u00fc"}] }'
    request = parse_chat_request(("{" + options + rest).encode())
    assert splice(request, include_usage=True).decode() == "{" + becomes + rest


def test_members_of_the_same_name_deeper_down_are_left_alone() -> None:
    head = b'{"messages":[{"max_tokens":1,"stream_options":{}}],"model":"m","stream":true,'
    request = parse_chat_request(head + b'"stream_options":{},"max_tokens":9}')
    spliced = splice(request, include_usage=True, output_limit=5)
    assert spliced == head + b'"stream_options":{"include_usage":true},"max_tokens":5}'


def test_a_limit_goes_into_the_key_that_the_client_used() -> None:
    body = b'{"model":"m","messages":[{}],"max_tokens":900}'
    assert splice(parse_chat_request(body), include_usage=False, output_limit=50) == body.replace(b"900", b"50")


def test_a_limit_takes_the_place_of_null() -> None:
    body = b'{"model":"m","messages":[{}],"max_tokens":null}'
    request = parse_chat_request(body)
    spliced = splice(request, include_usage=False, output_limit=50, output_limit_key="max_tokens")
    assert spliced == body.replace(b"null", b"50")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{}]}',
        b'{"model":"m","messages":[{}],"stream":false,"stream_options":null}',
        b'{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true}}',
    ],
)
def test_a_body_that_needs_no_change_is_not_copied(body: bytes) -> None:
    request = parse_chat_request(body)
    assert splice(request, include_usage=True) is body
