"""A body that can't be read in exactly one way is refused with a sentence, whatever it holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.parsing import parse_chat_request
from apps.gateway.strict_json import MAX_VALUES
from spendra.kernel.errors import Refused, RequestMalformed, RequestTooLarge

MESSAGES = '"messages": [{"role": "user", "content": "Hi"}]'
HEAD = '{"model": "gpt-4o-mini", ' + MESSAGES


def refusal(body: bytes | str) -> Refused:
    with pytest.raises(RequestMalformed) as caught:
        parse_chat_request(body.encode() if isinstance(body, str) else body)
    assert caught.value.message.endswith(".")
    return caught.value


def refusal_of(**members: Any) -> Refused:
    message = {"role": "user", "content": "Hi"}
    return refusal(json.dumps({"model": "gpt-4o-mini", "messages": [message], **members}))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON object"),
        (b"   ", "JSON object"),
        (b"[]", "JSON object"),
        (b'"text"', "JSON object"),
        (b"null", "JSON object"),
        (b"{", "not valid JSON"),
        (b'{"model": "m"', "not valid JSON"),
        (HEAD.encode() + b"} {}", "not valid JSON"),
        (HEAD.encode() + b",}", "not valid JSON"),
        (HEAD.encode() + b', "temperature": NaN}', "not valid JSON"),
        (HEAD.encode() + b', "temperature": -Infinity}', "not valid JSON"),
        (HEAD.encode() + b', "temperature": 1e400}', "not valid JSON"),
        (HEAD.encode() + b', "seed": 1' + b"0" * 400 + b"}", "not valid JSON"),
        (HEAD.encode() + b', "a": 01}', "not valid JSON"),
        (HEAD.encode() + b', "a": "\x00"}', "not valid JSON"),
        (HEAD.encode() + b', "a": "\\u0000"}', "NUL"),
        (HEAD.encode() + b', "a": "\\\\\\u0000"}', "NUL"),
        (HEAD.encode() + b', "a": "\\ud800"}', "surrogate"),
        (HEAD.encode() + b', "a": "\\udc00 \\ud83d"}', "surrogate"),
        (HEAD.encode() + b', "a": "\xff"}', "UTF-8"),
        (HEAD.encode() + b', "a": "\xed\xa0\x80"}', "UTF-8"),
        (HEAD.encode() + b', "a": "\xc0\x80"}', "UTF-8"),
        (b"\xef\xbb\xbf" + HEAD.encode() + b"}", "byte order mark"),
        ((HEAD + "}").encode("utf-16"), "byte order mark"),
        (HEAD.encode() + b', "a": ' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper"),
        (HEAD.encode() + b', "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSON"),
        (HEAD.encode() + b', "a": ' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}", "JSON"),
    ],
)
def test_a_body_that_is_no_strict_json_is_refused(body: bytes, says: str) -> None:
    with pytest.raises((RequestMalformed, RequestTooLarge)) as caught:
        parse_chat_request(body)
    assert says in caught.value.message


def test_an_escaped_backslash_before_u0000_is_text() -> None:
    assert parse_chat_request(HEAD.encode() + b', "a": "\\\\u0000"}').data["a"] == "\\u0000"


@pytest.mark.parametrize("spelled", ["model", "mod\\u0065l", "\\u006dodel", "\\u006D\\u006F\\u0064\\u0065\\u006C"])
@pytest.mark.parametrize("separator", [",", ", ", ",\n"])
def test_a_key_twice_is_refused_however_it_is_spelled(spelled: str, separator: str) -> None:
    error = refusal(HEAD + separator + f'"{spelled}":"gpt-5-pro"' + "}")
    assert error.param == "model"
    assert "twice" in error.message


@pytest.mark.parametrize(
    "members",
    [
        '"stream":true,"stream":false',
        '"max_tokens":5,"max_tokens":5',
        '"n":1,"\\u006e":100',
        '"stream_options":{"include_usage":true,"include_usage":false}',
        '"stream_options":{"include_usage":true,"includ\\u0065_usage":false}',
        '"service_tier":"flex","service_tier":"priority"',
        '"tools":[{"type":"function","type":"web_search"}]',
        '"unknown":1,"unknown":1',
    ],
)
def test_a_key_twice_is_refused_in_every_object(members: str) -> None:
    assert "twice" in refusal(HEAD + "," + members + "}").message


def test_equal_keys_in_different_objects_are_no_repetition() -> None:
    parse_chat_request((HEAD + ', "metadata": {"model": "a", "inner": {"model": "b"}}}').encode())


@pytest.mark.parametrize("value", [0, -1, -(10**9), 10**9, 10**18, 10**40, 1.0, 1e3, True, "5", [5], {}])
@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "n"])
def test_a_number_out_of_range_is_refused(key: str, value: Any) -> None:
    error = refusal_of(**{key: value})
    assert error.param == key
    assert "whole number" in error.message


@pytest.mark.parametrize("value", [129, 1_000_000])
def test_more_choices_than_any_provider_gives_are_refused(value: int) -> None:
    assert refusal_of(n=value).param == "n"


def test_two_output_limits_are_refused() -> None:
    assert "Send only max_completion_tokens" in refusal_of(max_tokens=5, max_completion_tokens=5).message


@pytest.mark.parametrize("value", [None, "", " ", 5, [], {}, "gpt 4", "gpt-4\n", "gpt\u00e9", "a" * 201, "a\u200bb"])
def test_a_model_that_is_no_id_is_refused(value: Any) -> None:
    assert refusal_of(model=value).param == "model"


def test_a_missing_model_is_refused_with_an_example() -> None:
    error = refusal("{" + MESSAGES + "}")
    assert error.param == "model"
    assert '"model": "gpt-4o-mini"' in error.message


@pytest.mark.parametrize("value", [None, [], {}, "Hi", 5])
def test_messages_that_are_no_list_are_refused(value: Any) -> None:
    assert refusal_of(messages=value).param == "messages"


@pytest.mark.parametrize("message", [None, "Hi", [], 5])
def test_a_message_that_is_no_object_is_named(message: Any) -> None:
    assert refusal_of(messages=[{"role": "user", "content": "Hi"}, message]).param == "messages[1]"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"service_tier": 1}, "service_tier"),
        ({"service_tier": "a b"}, "service_tier"),
        ({"service_tier": "x" * 1000}, "service_tier"),
    ],
)
def test_a_wrong_type_names_its_parameter(members: dict[str, Any], param: str) -> None:
    assert refusal_of(**members).param == param


@pytest.mark.parametrize("value", ["[]", "0", '""', '{"a":0}', "[[[]]]", '"[,{"'])
def test_more_values_than_memory_should_hold_are_refused_before_they_are_built(value: str) -> None:
    body = HEAD + ', "a": [' + ",".join([value] * (MAX_VALUES + 10)) + "]}"
    with pytest.raises(RequestTooLarge) as caught:
        parse_chat_request(body.encode())
    assert "JSON values" in caught.value.message


def test_commas_and_brackets_in_a_long_text_are_no_values() -> None:
    text = "[1, {2}], " * MAX_VALUES
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text + '\\"'}]})
    assert parse_chat_request(body.encode()).facts.message_count == 1


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_fail_otherwise(noise: bytes) -> None:
    for body in (noise, b"{" + noise, HEAD.encode() + b"," + noise + b"}", b'{"model":"m","messages":' + noise):
        try:
            parse_chat_request(body)
        except (RequestMalformed, RequestTooLarge):
            continue


@given(
    st.lists(st.tuples(st.sampled_from(["model", "n", "a", "é", 'q"', "\\"]), st.integers(0, 9)), max_size=4),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
)
def test_an_object_is_refused_exactly_when_a_key_repeats(
    pairs: list[tuple[str, int]], separators: tuple[str, str], escaped: bool
) -> None:
    comma, colon = separators
    inner = comma.join(json.dumps(key, ensure_ascii=escaped) + colon + str(value) for key, value in pairs)
    body = f'{{"model"{colon}"m"{comma}"messages"{colon}[{{"x"{colon}{{{inner}}}}}]}}'.encode()
    if len({key for key, _ in pairs}) < len(pairs):
        assert "twice" in refusal(body).message
    else:
        parse_chat_request(body)
