from contextlib import suppress

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from apps.providers.addresses import check_base_url
from spendra.kernel.errors import Invalid

PRIVATE = [
    "https://localhost/v1",
    "https://127.0.0.1/v1",
    "https://127.1/v1",
    "https://2130706433/v1",
    "https://0x7f000001/v1",
    "https://0177.0.0.1/v1",
    "https://10.0.0.5/v1",
    "https://192.168.1.1:8443/v1",
    "https://172.16.0.1/v1",
    "https://100.64.0.1/v1",
    "https://169.254.169.254/latest",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://[::1]/v1",
    "https://[::ffff:127.0.0.1]/v1",
    "https://[fd00::1]/v1",
    "https://[fe80::1]/v1",
    "https://vllm/v1",
    "https://vllm.models.svc/v1",
    "https://vllm.models.svc.cluster.local./v1",
    "https://metadata.google.internal/v1",
    "https://printer.local/",
]
PUBLIC = ["https://api.openai.com/v1", "https://8.8.8.8/v1", "https://[2606:4700::1111]:8443/v1"]
MALFORMED = [
    "",
    "api.openai.com/v1",
    "//api.openai.com",
    "ftp://api.openai.com/v1",
    "file:///etc/passwd",
    "https://",
    "https:///v1",
    "https://user:password@api.openai.com/v1",
    "https://api.openai.com/v1?key=1",
    "https://api.openai.com/v1?",
    "https://api.openai.com/v1#top",
    "https://api.openai.com:port/v1",
    "https://api.openai.com:99999/v1",
    "https://api open ai.com/v1",
    "https://api.openai.com\\@evil.com/v1",
    "https://api.openai.com/v1\nhost: evil",
    "https://ap\u0456.openai.com/v1",
    "https://-bad.com/",
    "https://a..b/",
    "https://[::1/v1",
    "https://example.com/" + "a" * 500,
]


in_production = override_settings(IS_PRODUCTION=True, ALLOW_PRIVATE_UPSTREAMS=[])
elsewhere = override_settings(IS_PRODUCTION=False)


@in_production
@pytest.mark.parametrize("url", PUBLIC)
def test_a_public_https_address_is_taken_without_its_trailing_slash(url: str) -> None:
    assert check_base_url(f" {url}/ ") == url


@in_production
@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_needs_the_operators_word_in_production(url: str) -> None:
    with pytest.raises(Invalid, match="a private address needs the operator's word"):
        check_base_url(url)


@in_production
def test_plain_http_needs_the_operators_word_in_production() -> None:
    with pytest.raises(Invalid, match=r"plain http needs the operator's word: list models\.example\.com"):
        check_base_url("http://models.example.com/v1")


@override_settings(IS_PRODUCTION=True, ALLOW_PRIVATE_UPSTREAMS=["vllm.models.svc", "10.0.0.5:8000", "[fd00::1]:80"])
def test_what_the_operator_lists_is_taken_in_production() -> None:
    for url in ("http://vllm.models.svc:8000/v1", "http://10.0.0.5:8000/v1", "http://[fd00::1]:80/v1"):
        assert check_base_url(url) == url
    for url in ("http://10.0.0.5:8001/v1", "http://other.models.svc/v1"):
        with pytest.raises(Invalid):
            check_base_url(url)


@elsewhere
@pytest.mark.parametrize("url", [*PRIVATE, "http://127.0.0.1:8001/v1"])
def test_outside_production_any_host_is_taken(url: str) -> None:
    assert check_base_url(url) == url.rstrip("/")


@elsewhere
@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_base_url_is_refused_everywhere(url: str) -> None:
    with pytest.raises(Invalid, match="cannot be a base URL") as refusal:
        check_base_url(url)
    assert refusal.value.param == "base_url"


@given(st.text() | st.text().map(lambda text: f"https://{text}"))
def test_any_text_is_a_base_url_or_is_refused(text: str) -> None:
    with suppress(Invalid):
        assert check_base_url(text).startswith(("https://", "http://"))
