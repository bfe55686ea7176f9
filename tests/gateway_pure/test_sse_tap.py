"""The tap passes a stream on as it came, in whatever pieces, and keeps what it says about the price."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway import sse
from apps.gateway.answers import Answer
from apps.gateway.sse import SseTap

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def event(**payload: Any) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def delta(content: str, **more: Any) -> bytes:
    return event(
        model="gpt-4o-2024-08-06", choices=[{"index": 0, "delta": {"content": content}}], **{"usage": None, **more}
    )


USAGE_CHUNK = event(model="gpt-4o-2024-08-06", service_tier="default", choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
STREAM = [
    event(choices=[], prompt_filter_results=[]),
    b": keep-alive\n\n",
    delta("Grüße"),
    delta('"usage":{}'),
    USAGE_CHUNK,
    DONE,
]
WHOLE = b"".join(STREAM)
SHOWN = WHOLE.replace(USAGE_CHUNK, b"")


def tapped(chunks: Iterable[bytes], *, hide_usage: bool = True) -> tuple[bytes, Answer]:
    tap = SseTap(hide_usage=hide_usage)
    passed = b"".join([*map(tap.feed, chunks), tap.finish()])
    return passed, tap.answer


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


def test_the_usage_chunk_is_read_and_hidden() -> None:
    passed, answer = tapped(STREAM)
    assert passed == SHOWN
    assert answer == Answer(
        model="gpt-4o-2024-08-06",
        service_tier="default",
        usage=USAGE,
        content_bytes=len("Grüße".encode()) + len('"usage":{}'),
        is_complete=True,
    )


def test_the_usage_chunk_passes_to_a_client_that_asked_for_it() -> None:
    passed, answer = tapped(STREAM, hide_usage=False)
    assert passed == WHOLE
    assert answer.usage == USAGE


def test_an_event_passes_the_moment_it_is_whole() -> None:
    tap = SseTap(hide_usage=True)
    assert [tap.feed(chunk) for chunk in STREAM] == [*STREAM[:4], b"", DONE]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("hide_usage", [True, False])
def test_a_stream_split_at_any_byte_reads_the_same(line_end: bytes, hide_usage: bool) -> None:
    stream = WHOLE.replace(b"\n", line_end)
    whole = tapped([stream], hide_usage=hide_usage)
    assert whole[0] == (SHOWN if hide_usage else WHOLE).replace(b"\n", line_end)
    assert whole[1].usage == USAGE
    for place in range(len(stream)):
        assert tapped(cut(stream, [place]), hide_usage=hide_usage) == whole
    assert tapped(cut(stream, range(len(stream))), hide_usage=hide_usage) == whole


PIECES = st.sampled_from(
    [
        *STREAM,
        USAGE_CHUNK.replace(b"\n", b"\r\n"),
        USAGE_CHUNK.replace(b"\n", b"\r"),
        USAGE_CHUNK.replace(b"data: ", b"data:").replace(b",", b",\ndata: ", 1),
        b"event: message\nid: 7\n" + USAGE_CHUNK,
        *(b"\n", b"\r", b"\r\n", b"data", b"data:", b"data: {", b"{}", b": \n", b"\xef\xbb\xbf", b"\xff"),
    ]
)


@given(st.lists(PIECES, max_size=8).map(b"".join), st.data())
def test_any_stream_in_any_pieces_reads_the_same(stream: bytes, data: st.DataObject) -> None:
    chunks = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    assert tapped(chunks) == tapped([stream])
    assert tapped(chunks, hide_usage=False) == (stream, tapped([stream], hide_usage=False)[1])


@given(st.lists(PIECES, max_size=8).map(b"".join))
def test_nothing_but_usage_chunks_is_taken_out(stream: bytes) -> None:
    passed, _ = tapped([stream])
    assert passed == stream if b'"choices":[],"usage"' not in stream else len(passed) <= len(stream)
    rest = iter(stream)
    assert all(byte in rest for byte in passed), "the passed bytes are the stream's, in their order"


@pytest.mark.parametrize(
    "chunk",
    [
        USAGE_CHUNK.replace(b"data: ", b"data:"),
        USAGE_CHUNK.replace(b',"usage"', b',\ndata: "usage"'),
        b"event: message\nid: 7\nretry: 5\n: comment\n" + USAGE_CHUNK,
        b"\xef\xbb\xbf" + USAGE_CHUNK,
    ],
)
def test_usage_is_found_in_each_form_of_an_event(chunk: bytes) -> None:
    assert tapped([chunk, DONE]) == (DONE, tapped([USAGE_CHUNK, DONE])[1])


def test_the_last_usage_counts_where_each_chunk_carries_a_running_total() -> None:
    chunks = [delta("a", usage={"total_tokens": 1}), delta("b", usage={"total_tokens": 2}), delta("c"), DONE]
    passed, answer = tapped(chunks)
    assert passed == b"".join(chunks)
    assert answer.usage == {"total_tokens": 2}


def test_a_stream_cut_off_passes_what_came_and_counts_its_bytes() -> None:
    broken = delta("lost")[:-20]
    passed, answer = tapped([delta("abc"), broken])
    assert passed == delta("abc") + broken
    assert (answer.usage, answer.is_complete) == (None, False)
    assert 3 + len("lost") <= answer.content_bytes <= 3 + len(broken)


def test_a_usage_chunk_without_its_blank_line_still_counts() -> None:
    passed, answer = tapped([delta("abc"), USAGE_CHUNK.rstrip()])
    assert (passed, answer.usage) == (delta("abc"), USAGE)


def test_every_kind_of_text_in_a_delta_is_counted() -> None:
    tools = [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a'}}]
    chunk = {"role": "assistant", "content": None, "reasoning_content": "hm", "refusal": "no", "tool_calls": tools}
    _, answer = tapped([event(choices=[{"delta": chunk}, {"delta": {"content": "é"}}])])
    assert answer.content_bytes == len("hm" + "no" + "c1" + "f" + '{"a') + 2


def test_what_comes_after_done_passes() -> None:
    passed, answer = tapped([*STREAM, b"data: late\n\n", b": bye\n\n"])
    assert passed == SHOWN + b"data: late\n\n: bye\n\n"
    assert answer.is_complete


def test_an_error_in_mid_stream_passes() -> None:
    error = event(error={"message": "overloaded", "type": "server_error"})
    passed, answer = tapped([delta("a"), error])
    assert passed == delta("a") + error
    assert not answer.is_complete


@pytest.mark.parametrize("line", [b'{"choices": [{"message": {"content": "word"}}]}', b"hello", b"data: {half"])
def test_what_cannot_be_read_counts_as_content_byte_by_byte(line: bytes) -> None:
    _, answer = tapped([line + b"\n\n", b": a comment\n\n", b"event: ping\nid: 7\nretry: 9\n\n", line])
    assert answer.content_bytes == 2 * len(line)


@pytest.mark.parametrize("data", ["not json", "[]", "7", '{"usage": {"cost": 1e999999999999999999999}}', "{" * 5000])
def test_data_that_is_no_object_passes_and_counts_as_text(data: str) -> None:
    chunk = f"data: {data}\n\n".encode()
    passed, answer = tapped([chunk])
    assert (passed, answer.usage) == (chunk, None)
    assert answer.content_bytes >= len(data)


@pytest.mark.parametrize(
    "choices", [None, {}, [None], [{"delta": None}], [{"delta": "x"}], [{"delta": {"content": 5}}]]
)
def test_odd_chunks_pass_without_harm(choices: Any) -> None:
    chunk = event(choices=choices, model=5, service_tier=[], usage="?")
    assert tapped([chunk])[0] == chunk


def test_a_stream_that_begins_with_an_endless_event_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    tap = SseTap(hide_usage=True)
    tap.feed(b"data: {" + b"x" * 999)
    tap.feed(b"}\n\n" + DONE)
    tap.finish()
    assert tap.has_seen_events


def test_an_endless_event_passes_on_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    tap = SseTap(hide_usage=True)
    sent = [delta("a", usage={"total_tokens": 1}), b"data: {", *[b"x" * 100] * 50, b"}\n\n", USAGE_CHUNK, DONE]
    passed, fed, held = b"", 0, 0
    for chunk in sent:
        passed += tap.feed(chunk)
        fed += len(chunk)
        held = max(held, fed - len(passed))
    assert passed + tap.finish() == b"".join(sent)
    assert held <= 1100
    assert tap.answer.usage is None
    assert tap.answer.content_bytes >= 5000
