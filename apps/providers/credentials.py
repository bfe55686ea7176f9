"""The secrets of provider accounts: the database holds a reference, the secret is read at each use.

The one place outside spendra/settings that reads the environment: see docs/decisions/0003-credential-references.md.
"""

import os
import re
from pathlib import Path, PurePosixPath

from spendra.kernel.errors import Invalid, ProviderNotConfigured

_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
# Our own secrets are no provider's: an account that names one would send it to whatever its base URL says.
_OWN_NAMES = re.compile(r"(SPENDRA_|SUPABASE_|DATABASE_URL|SENTRY_DSN|SMTP_|PG).*")
_KERNEL_FOLDERS = ("/proc/", "/sys/", "/dev/")
_MOST_BYTES = 64 * 1024


def check(reference: str) -> str:
    """The reference in its one spelling; Invalid where it is none. What it names need not exist yet."""
    kind, _, name = reference.strip().partition(":")
    if kind == "env" and _ENV_NAME.fullmatch(name):
        if _OWN_NAMES.fullmatch(name):
            raise Invalid(f"env:{name} is a secret of Spendra itself, not of a provider.", param="credential_reference")
        return f"env:{name}"
    if kind == "file" and _is_plain_path(name):
        return f"file:{name}"
    raise Invalid(
        f"{reference!r} is no reference to a secret: write env:NAME, or file:/absolute/path. "
        "The secret itself is never stored here.",
        param="credential_reference",
    )


def resolve(reference: str) -> str:
    """The secret as it is now, stripped. ProviderNotConfigured names the reference and never what it holds."""
    kind, _, name = reference.partition(":")
    secret = _from_environment(name) if kind == "env" else _from_file(name, reference)
    if not secret:
        raise ProviderNotConfigured(f"The provider's credential {reference} is not set on this gateway, or is empty.")
    return secret


def _is_plain_path(name: str) -> bool:
    """Absolute, and written the shortest way."""
    path = PurePosixPath(name)
    return (
        path.is_absolute()
        and path.name != ""
        and str(path) == name
        and ".." not in path.parts
        and name.isprintable()
        and not name.startswith(_KERNEL_FOLDERS)
        and len(name) < 400
    )


def _from_environment(name: str) -> str:
    if value := os.environ.get(name, "").strip():
        return value
    path = os.environ.get(f"{name}_FILE", "")
    return _from_file(path, f"env:{name}") if path else ""


def _from_file(path: str, reference: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ProviderNotConfigured(f"The provider's credential {reference} is larger than a secret can be.")
        return content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderNotConfigured(f"The provider's credential {reference} cannot be read: its file is missing, "
                                    "unreadable or no text.") from error  # fmt: skip
