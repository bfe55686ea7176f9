"""Keys, routes, methods, types and models that are wrong."""

import openai
import pytest

from apps.catalog.models import CatalogModel
from apps.keys.format import mint
from tests.bad_input.asking import CHAT, PROMPT, ask, chat, must_refuse
from tests.gateway.company import Company, body

FINE = chat('"max_tokens": 5')


@pytest.fixture(autouse=True)
def _nothing_is_reserved(company: Company):
    yield
    assert company.reservations() == []


KEYS = {
    "none": {"authorization": ""},
    "an empty one": {"authorization": "Bearer "},
    "no scheme": {"authorization": mint(live=False).key},
    "basic": {"authorization": "Basic dXNlcjpwYXNz"},
    "a provider's": {"authorization": "Bearer sk-proj-0123456789"},
    "an unknown one": {"authorization": f"Bearer {mint(live=False).key}"},
    "one with a typo": {"authorization": f"Bearer {mint(live=False).key[:-1]}_"},
    "not ASCII": {"authorization": "Bearer spk_test_\xe9"},
    "endless": {"authorization": f"Bearer spk_test_{'a' * 5000}"},
    "two that differ": {"api-key": mint(live=False).key},
    "one that is empty beside": {"x-api-key": " "},
}


@pytest.mark.parametrize("headers", KEYS.values(), ids=KEYS.keys())
def test_a_wrong_key(company: Company, headers: dict[str, str]) -> None:
    answer = ask(company, FINE, headers=headers)
    if "x-api-key" in headers:
        assert answer.status == 401
        return
    must_refuse(answer, 401, "key_rejected")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_right_key_with_another_secret(company: Company) -> None:
    forged = company.key[:26] + mint(live=False).key[26:]
    must_refuse(ask(company, FINE, key=forged), 401, "key_rejected")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POSTS", "post"])
def test_a_wrong_method_is_told_the_right_one(company: Company, method: str) -> None:
    answer = ask(company, FINE, method=method)
    must_refuse(answer, 405, "method_not_allowed", "POST")
    assert answer.headers["allow"] == "POST"
    answer = ask(company, b"", method=method, path="/v1/models")
    assert (answer.status, answer.headers.get("allow", "GET")) == (200 if method == "GET" else 405, "GET")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/chat/completions/", "//v1/chat/completions", "/v1/completions", "/%00", "/%ff/..", "/v1/é"],
)
def test_a_wrong_route_is_told_the_right_ones(company: Company, path: str) -> None:
    answer = ask(company, FINE, path=path.replace("é", "%C3%A9"))
    must_refuse(answer, 404, "route_not_found", CHAT)


TYPES = {
    "none": {"content-type": ""},
    "text": {"content-type": "text/plain"},
    "a form": {"content-type": "multipart/form-data; boundary=x"},
    "nonsense": {"content-type": ";;;"},
    "another charset": {"content-type": "application/json; charset=latin-1"},
    "compressed": {"content-encoding": "gzip"},
    "compressed in a made-up way": {"content-encoding": "identity, rot13"},
}


@pytest.mark.parametrize("headers", TYPES.values(), ids=TYPES.keys())
def test_a_wrong_content_type(company: Company, headers: dict[str, str]) -> None:
    must_refuse(ask(company, FINE, headers=headers), 415, "content_type_unsupported")


def test_an_unknown_model(company: Company) -> None:
    answer = ask(company, chat('"max_tokens": 5', model="gpt-of-tomorrow"))
    must_refuse(answer, 404, "model_not_found", "gpt-of-tomorrow")


def test_a_model_without_a_price(company: Company) -> None:
    CatalogModel.objects.create(provider="openai", name="gpt-unpriced", context_window=1000, source="test")
    answer = ask(company, chat('"max_tokens": 5', model="gpt-unpriced"))
    must_refuse(answer, 403, "model_unpriced", "gpt-unpriced")


def test_the_official_client_shows_what_is_wrong(company: Company) -> None:
    client = company.client()
    with pytest.raises(openai.BadRequestError, match="max_tokens must be a whole number from 1 to 10,000,000"):
        client.chat.completions.create(**body(max_tokens=-5))
    with pytest.raises(openai.BadRequestError, match="n must be a whole number from 1 to 128"):
        client.chat.completions.create(**body(n=1_000_000), stream=True)
    with pytest.raises(openai.NotFoundError, match="does not know openai/gpt-of-tomorrow"):
        client.chat.completions.create(**body(model="gpt-of-tomorrow"))
    with pytest.raises(openai.AuthenticationError, match="This key is unknown here"):
        company.client(mint(live=False).key).chat.completions.create(**body())
    with pytest.raises(openai.APIStatusError, match="larger than 1048576 bytes") as caught:
        client.chat.completions.create(**body(messages=[{"role": "user", "content": PROMPT * 40_000}]))
    assert caught.value.status_code == 413
