"""A provider that refuses the organization's own account: passed on as it came, it would read as if the caller's key
were wrong."""

import logging
import re
import time

from apps.gateway.answers import read_payload
from apps.gateway.routing import Route
from spendra.kernel.errors import UpstreamCredentialRejected

log = logging.getLogger(__name__)

# 401: the credential is wrong or has ended. 403: it has no right to this model, or not from this place.
STATUSES = (401, 403)
QUIET_SECONDS = 60
# Without digits: what looks like a code is no secret.
_CODE = re.compile(r"[A-Za-z_]{1,64}")


class RefusedAccounts:
    """Makes the error of each refusal, and a warning a minute for each account."""

    def __init__(self) -> None:
        self._warned_at: dict[tuple[str, str], float] = {}

    def error(self, route: Route, status: int, body: bytes) -> UpstreamCredentialRejected:
        """Nothing of what the provider wrote but its code: OpenAI repeats parts of the key that it refuses."""
        code = _code_in(body)
        self._warn(route, status, code)
        said = f"{status}, {code}" if code else str(status)
        return UpstreamCredentialRejected(
            f"The organization's account at {route.provider} was refused by the provider ({said}). Your Spendra key is "
            "not at fault: an administrator must check that account's credential and its rights.",
            details={"provider": route.provider, "upstream_status": status, "upstream_code": code},
        )

    def _warn(self, route: Route, status: int, code: str | None) -> None:
        now = time.monotonic()
        account = (route.organization_id, route.provider)
        if now - self._warned_at.get(account, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self._warned_at[account] = now
        log.warning(
            "%s refused the account of organization %s (%s, %s): check what %s holds and what it may do",
            *(route.provider, route.rules.slug, status, code, route.account.credential_reference),
        )


def _code_in(body: bytes) -> str | None:
    error = (read_payload(body) or {}).get("error")
    if not isinstance(error, dict):
        return None
    said = (error.get(name) for name in ("code", "status", "type"))
    return next((code for code in said if isinstance(code, str) and _CODE.fullmatch(code)), None)
