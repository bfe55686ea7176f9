"""docs/errors.md lists exactly the errors there are, with the status that the gateway gives."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from apps.gateway.errors import STATUSES, answer, answer_unexpected
from spendra.kernel.errors import SpendraError, UpstreamFailed
from spendra.roles import http_connection
from spendra.roles.http_head import HeadRefused, HeadTooLarge

ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \|.*\| (no|yes|soon) \|$", re.MULTILINE)
DOCS = Path(__file__).parents[2] / "docs" / "errors.md"


def concrete_errors(kind: type[SpendraError] = SpendraError) -> Iterator[type[SpendraError]]:
    """Of the kernel; a class with subclasses counts where it is raised itself."""
    for child in _of_the_kernel(kind):
        if not _of_the_kernel(child) or child.__name__ == "Invalid":
            yield child
        yield from concrete_errors(child)


def _of_the_kernel(kind: type[SpendraError]) -> list[type[SpendraError]]:
    return [child for child in kind.__subclasses__() if child.__module__ == SpendraError.__module__]


def documented() -> dict[str, tuple[int, str]]:
    rows = ROW.findall(DOCS.read_text())
    assert len(rows) == len({code for code, _, _ in rows})
    return {code: (int(status), retry) for code, status, retry in rows}


def retry_said(headers: list[tuple[bytes, bytes]]) -> str:
    names = {name for name, _ in headers}
    if b"x-should-retry" in names:
        return "no"
    return "soon" if b"retry-after" in names else "yes"


def test_every_error_is_documented_as_the_gateway_answers_it() -> None:
    answered = {kind.code: answer(kind("Message."), "r") for kind in concrete_errors()}
    answered["internal_error"] = answer_unexpected("r")
    assert documented() == {code: (status, retry_said(headers)) for code, (status, headers, _) in answered.items()}


def test_what_the_server_refuses_before_the_gateway_hears_of_it_is_documented_with_its_status() -> None:
    said = re.findall(r'refuse\((\d{3}), "(\w+)"', inspect.getsource(http_connection))
    said += [(str(kind.status), kind.code) for kind in (HeadRefused, HeadTooLarge)]
    assert len(said) > 4
    assert {(code, int(status)) for status, code in said} <= {(code, said[0]) for code, said in documented().items()}


def test_every_failure_of_a_provider_says_what_becomes_of_its_money() -> None:
    for kind in concrete_errors(UpstreamFailed):
        row = next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{kind.code}` "))
        assert ("booked" in row) != ("Nothing was charged" in row), row


def test_every_error_has_a_status_of_its_own() -> None:
    assert set(concrete_errors()) <= STATUSES.keys()
