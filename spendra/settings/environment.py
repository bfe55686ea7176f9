"""The only reader of the process environment. docs/configuration.md lists every name read here; a test compares."""

import ipaddress
import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

REQUIRED_IN_PRODUCTION = (
    "DATABASE_URL",
    "SPENDRA_ALLOWED_ORIGINS",
    "SPENDRA_METRICS_BEARER_TOKEN",
    "OPENAI_API_KEY",
    "SUPABASE_JWT_SECRET",
)


def read(name: str, default: str = "") -> str:
    """The value of NAME, or the content of the file that NAME_FILE points at."""
    value = os.environ.get(name, "")
    if value:
        return value
    path = os.environ.get(f"{name}_FILE", "")
    if not path:
        return default
    try:
        return Path(path).read_text(encoding="utf-8").strip() or default
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE points at {path}, which cannot be read: {error.strerror}") from error


def read_list(name: str) -> list[str]:
    return [part.strip() for part in read(name).split(",") if part.strip()]


def read_int(name: str, default: int, *, lowest: int, highest: int) -> int:
    text = read(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
        raise ImproperlyConfigured(f"{name} must be a whole number from {lowest} to {highest}, not {text!r}")
    return int(text)


def read_networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(part) for part in read_list(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} takes addresses and networks such as 10.0.0.0/8: {error}") from error


def deployment() -> str:
    """production, or any other name: the image sets production; a checkout runs as development."""
    name = read("SPENDRA_ENV", "development")
    if name != "production" and name.lower().startswith("prod"):
        raise ImproperlyConfigured(f"SPENDRA_ENV is {name!r}: write production, or the name of another deployment.")
    return name


def is_production() -> bool:
    return deployment() == "production"


def is_development() -> bool:
    """The one deployment that makes up what it is not given: a database, and a root secret that everybody can read."""
    return deployment() == "development"


def require_secrets() -> None:
    """ImproperlyConfigured with every name that this deployment can't do without and does not have."""
    if is_development():
        return
    required = REQUIRED_IN_PRODUCTION if is_production() else ("DATABASE_URL", "SUPABASE_JWT_SECRET")
    missing = [name for name in required if not read(name)]
    if not is_production() and read("SPENDRA_SECRET_KEY"):
        missing = [name for name in missing if name != "SUPABASE_JWT_SECRET"]
    if missing:
        raise ImproperlyConfigured(
            f"SPENDRA_ENV is {deployment()} and these are not set: {', '.join(missing)}. "
            "Set each one, or its <NAME>_FILE, in the Secret of the deployment."
        )
