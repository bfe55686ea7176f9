"""The environment of the demo's roles: what demo.env holds, and nothing of Spendra's from outside."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from spendra.development.demo.addresses import Addresses
from spendra.development.demo.errors import DemoError
from spendra.development.demo.folder import DemoFolder
from spendra.settings import environment as given

# What any program may need of the machine; names that Spendra reads reach the roles by demo.env alone.
_OF_THE_MACHINE = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_OPENAI = "https://api.openai.com/v1"
_DRAIN_SECONDS = 4  # who presses Ctrl-C does not wait for a minute


@dataclass(frozen=True)
class Provider:
    base_url: str
    api_key: str
    is_sandbox: bool


def choose_provider(addresses: Addresses) -> Provider:
    """The one that OPENAI_API_KEY and OPENAI_BASE_URL name, else the sandbox."""
    api_key, base_url = given.read("OPENAI_API_KEY"), given.read("OPENAI_BASE_URL")
    if base_url and not api_key:
        raise DemoError("OPENAI_BASE_URL names a provider: set OPENAI_API_KEY too, or neither for the sandbox.")
    if api_key:
        return Provider(base_url or _OPENAI, api_key, is_sandbox=False)
    return Provider(f"{addresses.sandbox}/v1", "sandbox", is_sandbox=True)


def compose(folder: DemoFolder, *, database_url: str, provider: Provider, addresses: Addresses) -> dict[str, str]:
    """What demo.env will hold. The secrets are those of the folder's first run."""
    return {
        "SPENDRA_ENV": "development",
        "DATABASE_URL": database_url,
        "OPENAI_BASE_URL": provider.base_url,
        "OPENAI_API_KEY": provider.api_key,
        "SPENDRA_ALLOWED_ORIGINS": f"{addresses.gateway},{addresses.dashboard}",
        "SPENDRA_PUBLIC_URL": addresses.dashboard,
        "SPENDRA_SECRET_KEY": _kept_secret(folder, "SPENDRA_SECRET_KEY"),
        "SPENDRA_METRICS_BEARER_TOKEN": _kept_secret(folder, "SPENDRA_METRICS_BEARER_TOKEN"),
        "SPENDRA_DRAIN_SECONDS": str(_DRAIN_SECONDS),
    }


def of_child(variables: Mapping[str, str]) -> dict[str, str]:
    machine = {name: os.environ[name] for name in _OF_THE_MACHINE if name in os.environ}
    return {**machine, **variables}


def _kept_secret(folder: DemoFolder, name: str) -> str:
    return folder.kept(name) or secrets.token_urlsafe(32)
