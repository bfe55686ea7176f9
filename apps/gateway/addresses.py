"""Whose request is it: the address of the client, also behind the customer's own proxies."""

import ipaddress
from collections.abc import Sequence

from django.conf import settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The peer, or, where that is one of SPENDRA_TRUSTED_PROXIES, the last address of x-forwarded-for that is not.

    What stands further left in x-forwarded-for was said by the client and proves nothing.
    """
    if not settings.TRUSTED_PROXIES or not _is_trusted(peer):
        return peer
    forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
    address = peer
    for hop in reversed(forwarded.split(",")):
        if not hop.strip():
            break
        address = hop.strip()[:64]
        if not _is_trusted(address):
            break
    return address


def _is_trusted(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in settings.TRUSTED_PROXIES)
