import ipaddress

import pytest

from apps.gateway.addresses import client_address


@pytest.fixture(autouse=True)
def _ingress(settings) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]


def _forwarded(text: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", text)]


def test_a_stranger_is_not_believed() -> None:
    assert client_address("192.0.2.9", _forwarded(b"203.0.113.5")) == "192.0.2.9"


def test_behind_the_ingress_the_last_address_that_is_not_a_proxy_counts() -> None:
    assert client_address("10.0.0.7", _forwarded(b"1.2.3.4, 203.0.113.5, 10.1.1.1")) == "203.0.113.5"


def test_without_a_forwarded_header_it_is_the_proxy_itself() -> None:
    assert client_address("10.0.0.7", []) == "10.0.0.7"


def test_junk_in_the_header_is_an_address_of_its_own_and_no_error() -> None:
    assert client_address("10.0.0.7", _forwarded(b"\xff<script>")) == "\xff<script>"
