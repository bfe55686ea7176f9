"""Errors as OpenAI's SDKs show them: the gateway's map from the kernel's tree to HTTP, and the bodies."""

from collections.abc import Mapping

import orjson

from apps.gateway.headers import LONGEST_RETRY_AFTER_SECONDS
from spendra.kernel import errors

Headers = list[tuple[bytes, bytes]]
Response = tuple[int, Headers, bytes]

STATUSES: Mapping[type[errors.SpendraError], int] = {
    errors.RequestMalformed: 400,
    errors.Invalid: 400,
    errors.KeyRejected: 401,
    errors.BudgetExceeded: 402,
    errors.OrganizationSuspended: 403,
    errors.Frozen: 403,
    errors.ModelNotGranted: 403,
    errors.ModelUnpriced: 403,
    errors.ProviderNotConfigured: 403,
    errors.CapRequired: 403,
    errors.PolicyDenied: 403,
    errors.ReviewRequired: 403,
    errors.ReservationTooLarge: 403,
    errors.Refused: 403,
    errors.RouteNotFound: 404,
    errors.ModelNotFound: 404,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTimedOut: 408,
    errors.Conflict: 409,
    errors.RequestTooLarge: 413,
    errors.ContentTypeUnsupported: 415,
    errors.BudgetInFlight: 429,
    errors.RateLimited: 429,
    errors.HeadersTooLarge: 431,
    errors.SpendraError: 500,
    errors.UpstreamUnreachable: 502,
    errors.UpstreamBrokeOff: 502,
    errors.UpstreamMalformed: 502,
    errors.UpstreamCredentialRejected: 502,
    errors.UpstreamFailed: 502,
    errors.Busy: 503,
    errors.UpstreamTimedOut: 504,
}
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "upstream_error",
    503: "server_error",
    504: "upstream_error",
}
# Of the refusals only these can turn out otherwise when the same request comes again.
_WORTH_A_RETRY = (errors.BudgetInFlight, errors.RateLimited, errors.RequestTimedOut)
_NO_BETTER_IN_A_MOMENT = (errors.Refused, errors.Invalid, errors.UpstreamCredentialRejected)
_SOON = (errors.BudgetInFlight, errors.RateLimited, errors.Busy)
_DEFAULT_RETRY_MS = 1_000
_LONGEST_RETRY_MS = LONGEST_RETRY_AFTER_SECONDS * 1000


def answer(error: errors.SpendraError, request_id: str) -> Response:
    """Status, headers and body of the answer that says `error`."""
    status = _status(error)
    body = _body(error, status)
    return status, [*_common_headers(request_id, body), *_own_headers(error, status)], body


def answer_unexpected(request_id: str) -> Response:
    """The answer to a fault of ours. It says nothing about what went wrong; the log does, under the same id."""
    message = f"Spendra failed to handle this request. Report the request id {request_id} to your administrator."
    body = _shape(message, "server_error", None, "internal_error", {})
    return 500, _common_headers(request_id, body), body


def stream_event(error: errors.SpendraError) -> bytes:
    """`error` as an event of a stream that has already begun, where no status can say it any more. What was being
    written ends there, so that the event stands alone."""
    return b"\n\ndata: " + _body(error, _status(error)) + b"\n\n"


def _status(error: errors.SpendraError) -> int:
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def _body(error: errors.SpendraError, status: int) -> bytes:
    return _shape(error.message, _TYPES.get(status, "invalid_request_error"), error.param, error.code, error.details)


def _shape(message: str, kind: str, param: str | None, code: str, details: Mapping[str, object]) -> bytes:
    said = {"message": message, "type": kind, "param": param, "code": code, "spendra": details}
    return orjson.dumps({"error": said}, default=str)


def _common_headers(request_id: str, body: bytes) -> Headers:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        # Beside those of a provider, which are passed on as they came.
        (b"x-spendra-error-source", b"spendra"),
    ]


def _own_headers(error: errors.SpendraError, status: int) -> Headers:
    headers = []
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if not _is_worth_a_retry(error):
        headers.append((b"x-should-retry", b"false"))
    if allow := error.details.get("allow"):
        headers.append((b"allow", str(allow).encode()))
    if isinstance(error, errors.RateLimited):
        headers += _rate_headers(error.details)
    return headers + _retry_headers(error)


def _is_worth_a_retry(error: errors.SpendraError) -> bool:
    """Not where the wait is longer than any that an SDK is told of."""
    if isinstance(error, _WORTH_A_RETRY):
        return _wait_ms(error) <= _LONGEST_RETRY_MS
    return not isinstance(error, _NO_BETTER_IN_A_MOMENT)


def _rate_headers(details: Mapping[str, object]) -> Headers:
    """As OpenAI says it: of requests, or of tokens."""
    if "measure" not in details:
        return []
    said = {"limit": details["cap"], "remaining": details["remaining"], "reset": f"{details['resets_in_seconds']}s"}
    return [(f"x-ratelimit-{name}-{details['measure']}".encode(), str(value).encode()) for name, value in said.items()]


def _retry_headers(error: errors.SpendraError) -> Headers:
    wait = min(_wait_ms(error), _LONGEST_RETRY_MS)
    if not wait:
        return []
    return [(b"retry-after", b"%d" % -(-wait // 1000)), (b"retry-after-ms", b"%d" % wait)]


def _wait_ms(error: errors.SpendraError) -> int:
    """0 where nothing is said of a wait."""
    wait = error.details.get("retry_after_ms", _DEFAULT_RETRY_MS if isinstance(error, _SOON) else None)
    return max(wait, 1) if isinstance(wait, int) else 0
