"""JSON with exactly one meaning: every parser must read the same out of it, at a bounded price in memory and time."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import orjson

from spendra.kernel.errors import RequestMalformed, RequestTooLarge

# A value takes at most about 240 bytes beside its text (a dict of one member), so the tree of any body stays below
# 24 MB plus its strings, which take at most four bytes a character.
MAX_VALUES = 100_000
MAX_DEPTH = 254  # of orjson.dumps; its loads stops at 1024, neither by running out of stack

_EXAMPLE = '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}'
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'  # an unclosed one runs to the end, so that nothing is scanned twice
_VALUE = re.compile(rb'(?:[^",\[{]++|' + _STRING + rb")*+(?:[,\[{]|\Z)", re.DOTALL)
_NOT_A_VALUE = bytes(byte for byte in range(256) if byte not in b",[{")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")


def load_object(body: bytes) -> dict[str, object]:
    """The object that `body` is; RequestMalformed or RequestTooLarge says why it is none. Linear in its length."""
    _check_start(body)
    _check_values(body)
    try:
        data: dict[str, object] = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestMalformed(_explain(error)) from None
    _check_repeated_keys(body, data)
    if b"\\u0000" in body and _NUL.search(body):
        raise RequestMalformed("The body contains the NUL character (\\u0000). Remove it and send the request again.")
    return data


def _check_start(body: bytes) -> None:
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise RequestMalformed("The body begins with a byte order mark. Send plain UTF-8 without one.")
    if body.lstrip(b" \t\r\n")[:1] != b"{":
        raise RequestMalformed(f"The body must be a JSON object such as {_EXAMPLE}.")


def _check_values(body: bytes) -> None:
    """Each value but the first follows a comma or an opening bracket; those inside of strings are no values."""
    if len(body) <= MAX_VALUES or len(body.translate(None, _NOT_A_VALUE)) <= MAX_VALUES:
        return
    # The end of the body matches too, once or twice.
    if next(islice(_VALUE.finditer(body), MAX_VALUES + 2, None), None):
        raise RequestTooLarge(f"The body holds more than {MAX_VALUES:,} JSON values. Send fewer messages or tools.")


def _explain(error: orjson.JSONDecodeError) -> str:
    if "UTF-8" in error.msg:
        return "The body is not valid UTF-8. Encode it as UTF-8 and send it again."
    if "surrogate" in error.msg:
        return f"The body contains half of a surrogate pair ({error}). Remove or complete the broken character."
    return f"The body is not valid JSON: {error}."


def _check_repeated_keys(body: bytes, data: dict[str, object]) -> None:
    """A key that occurs twice means one thing to us and another to the provider.

    SDKs write the very bytes that orjson does; those show by being equal that no key was lost. Others are read again.
    """
    try:
        is_canonical = orjson.dumps(data) == body
    except TypeError:
        raise RequestMalformed(f"The body is nested deeper than {MAX_DEPTH} levels. Send a flatter one.") from None
    if not is_canonical:
        json.loads(body, object_pairs_hook=_refuse_repeated)


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    """Keeps nothing, so that the body does not stand in memory as a second tree."""
    if len({key for key, _ in pairs}) < len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0][:100]
        raise RequestMalformed(f"The key {repeated!r} occurs twice in one object. Send it once.", param=repeated)


def strings(value: object) -> Iterator[str]:
    """Every string inside of `value` but the keys; in no order, without recursion."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
