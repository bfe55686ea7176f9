"""A header of the client reaches the provider byte for byte, or the request is refused."""

import httpx

from tests.gateway.company import Company, body
from tests.gateway.conftest import Sandbox
from tests.gateway.governing import error_of


def _chat(company: Company, title: bytes) -> httpx.Response:
    return httpx.post(
        f"{company.gateway_url}/v1/chat/completions",
        json=body(),
        headers=[(b"authorization", f"Bearer {company.key}".encode()), (b"x-title", title)],
        timeout=30,
    )


def test_a_header_in_utf8_reaches_the_provider_as_it_came(company: Company, sandbox: Sandbox) -> None:
    title = "Ångström, café, 東京 € ✅".encode()  # some of it holds 0x85, which is a line break in Latin-1
    answer = _chat(company, title)
    request = httpx.get(f"{sandbox.url}/requests/{answer.headers['x-spendra-upstream-request-id']}").json()
    assert request["headers"]["x-title"].encode("latin-1") == title


def test_a_header_in_another_encoding_is_refused_and_nothing_is_reserved(company: Company, sandbox: Sandbox) -> None:
    before = sandbox.requests()
    answer = _chat(company, b"caf\xe9")
    assert (answer.status_code, error_of(answer)["code"]) == (400, "request_malformed")
    assert "The header x-title is not in UTF-8" in error_of(answer)["message"]
    assert company.reservations() == []
    assert sandbox.requests() == before
