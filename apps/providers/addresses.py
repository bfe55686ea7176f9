"""Which base URLs an account may have: https to a public host, unless the operator lists the host or this is not
production. Read from the text alone: a public name that resolves to a private address is not seen (the operator's
network policy is the place for that)."""

import ipaddress
import re
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from spendra.kernel.errors import Invalid

_LONGEST = 500
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?")
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".svc", ".lan", ".home.arpa")


def check_base_url(text: str) -> str:
    """The URL without a trailing slash; Invalid, with a sentence, where an account may not have it."""
    url = _split(text)
    if url.scheme not in {"https", "http"}:
        raise _invalid(text, "it must begin with https://")
    if url.username is not None or url.query or url.fragment or "?" in text or "#" in text:
        raise _invalid(text, "it must not carry a user, a query or a fragment")
    host = _host(text, url)
    if not _is_allowed(host, url) and (url.scheme == "http" or _is_private(host)):
        what = "plain http" if url.scheme == "http" else "a private address"
        raise _invalid(text, f"{what} needs the operator's word: list {host} in SPENDRA_ALLOW_PRIVATE_UPSTREAMS")
    return text.strip().rstrip("/")


def _split(text: str) -> SplitResult:
    stripped = text.strip()
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped or "\\" in stripped:
        raise _invalid(text, "it must be plain ASCII without spaces or backslashes")
    if len(stripped) > _LONGEST:
        raise _invalid(text[:40] + "…", f"it must have at most {_LONGEST} characters")
    try:
        url = urlsplit(stripped)
        _ = url.port  # raises where it is no port
    except ValueError as error:
        raise _invalid(text, "its host or port cannot be read") from error
    return url


def _host(text: str, url: SplitResult) -> str:
    host = (url.hostname or "").lower()
    if not host or (":" not in host and not _HOST_NAME.fullmatch(host)):
        raise _invalid(text, "it has no host that can be read")
    return host.rstrip(".")


def _is_allowed(host: str, url: SplitResult) -> bool:
    names = {host, f"{host}:{url.port}", f"[{host}]:{url.port}"}
    return not settings.IS_PRODUCTION or not names.isdisjoint(settings.ALLOW_PRIVATE_UPSTREAMS)


def _is_private(host: str) -> bool:
    address = _address(host)
    if address is not None:
        mapped = getattr(address, "ipv4_mapped", None)
        return not (mapped or address).is_global or address.is_multicast
    # A name without a dot is a neighbour: localhost, or a service of the same cluster.
    return "." not in host or host.endswith(_PRIVATE_NAMES) or host.endswith(".cluster.local")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # What a resolver takes for an address as well: 127.1, 0x7f000001, 2130706433.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _invalid(text: str, why: str) -> Invalid:
    return Invalid(f"{text.strip()!r} cannot be a base URL: {why}.", param="base_url")
