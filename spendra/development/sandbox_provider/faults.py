"""What a test asks for in the header `x-sandbox`: `status=429;retry-after=1`, `delay=0.5`, `no-usage`, …"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from spendra.development.sandbox_provider.errors import ApiError

HEADER = "x-sandbox"


@dataclass(frozen=True, slots=True)
class Faults:
    """The field `chunk_delay` is the fault `chunk-delay`. A bool needs no value; the others take `=VALUE`."""

    status: int | None = None  # an error of this status; nothing is charged
    retry_after: float | None = None  # the header of that error
    delay: float = 0.0  # seconds before the first byte
    chunk_delay: float = 0.0  # seconds before each event of a stream
    cut_after: int | None = None  # closes after this many events; a plain answer: 0 after its head, else amid its body
    hang: bool = False  # accepts, charges, never answers
    no_usage: bool = False
    usage_every_chunk: bool = False  # cumulative usage in each event, asked for or not
    malformed: bool = False  # 200 with a body that is not JSON, or a stream that is no SSE
    malformed_chunk: bool = False  # one event that is not JSON, after the first
    split: bool = False  # the body byte by byte
    crlf: bool = False  # SSE lines end with CR LF
    comment: bool = False  # an SSE comment before each event
    gzip: bool = False
    model: str | None = None  # the model that answers
    tokens: int | None = None  # completion tokens of each choice, within the request's limit
    overage: int = 0  # this many completion tokens more than the request allows


NO_FAULTS = Faults()
_TYPES = {field.name: field.type for field in dataclasses.fields(Faults)}


def parse_faults(header: str) -> Faults:
    """ApiError 400 for a name or value it doesn't know, so that a test can't misspell its fault and pass."""
    if not header:
        return NO_FAULTS
    given = [part.strip().partition("=") for part in header.split(";")]
    values: dict[str, Any] = {name.replace("-", "_"): _value(name, text) for name, _, text in given}
    return Faults(**values)


def _value(name: str, text: str) -> int | float | str | bool:
    kind = _TYPES.get(name.replace("-", "_")) if "_" not in name else None
    try:
        if kind is bool and text in {"", "1"}:
            return True
        if kind in {int, int | None} and text.isdigit():
            return int(text)
        if kind in {float, float | None}:
            return abs(float(text))
        if kind == str | None and text:
            return text
    except ValueError:
        pass
    raise ApiError(400, f"x-sandbox has no fault {name}={text}", code="unknown_sandbox_fault")
