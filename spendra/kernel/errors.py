"""Every expected failure, one tree. Codes are stable and listed in docs/errors.md; HTTP status lives in two maps:
the gateway's (apps/gateway/errors.py) and the management API's.

SpendraError
├── Refused                     the request is not allowed; nothing was reserved
│   ├── RequestMalformed        request_malformed
│   ├── RequestTooLarge         request_too_large
│   ├── HeadersTooLarge         headers_too_large
│   ├── RequestTimedOut         request_timed_out
│   ├── MethodNotAllowed        method_not_allowed
│   ├── ContentTypeUnsupported  content_type_unsupported
│   ├── RouteNotFound           route_not_found
│   ├── KeyRejected             key_rejected
│   ├── OrganizationSuspended   organization_suspended
│   ├── Frozen                  frozen
│   ├── ModelNotFound           model_not_found
│   ├── ModelNotGranted         model_not_granted
│   ├── ModelUnpriced           model_unpriced
│   ├── ProviderNotConfigured   provider_not_configured
│   ├── CapRequired             cap_required
│   ├── PolicyDenied            policy_denied
│   ├── ReviewRequired          review_required
│   ├── ReservationTooLarge     reservation_too_large
│   ├── BudgetExceeded          budget_exceeded
│   ├── BudgetInFlight          budget_in_flight
│   └── RateLimited             rate_limited
├── Invalid                     a person or script asked for something that cannot be   (management, commands)
│   └── NotFound                not_found
├── Conflict                    conflict
├── Busy                        busy
└── UpstreamFailed
    ├── UpstreamUnreachable     upstream_unreachable   (it never got the request)
    ├── UpstreamBrokeOff        upstream_broke_off     (it may have worked)
    ├── UpstreamTimedOut        upstream_timed_out
    ├── UpstreamMalformed       upstream_malformed
    └── UpstreamCredentialRejected  upstream_credential_rejected
"""

from collections.abc import Mapping
from typing import ClassVar


class SpendraError(Exception):
    """`message` says what is wrong and what to do; `details` is for machines (strings, numbers, money as strings)."""

    code: ClassVar[str]

    def __init__(self, message: str, *, param: str | None = None, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = dict(details or {})


class Refused(SpendraError):
    code = "refused"


class RequestMalformed(Refused):
    code = "request_malformed"


class RequestTooLarge(Refused):
    code = "request_too_large"


class HeadersTooLarge(Refused):
    code = "headers_too_large"


class RequestTimedOut(Refused):
    code = "request_timed_out"


class MethodNotAllowed(Refused):
    code = "method_not_allowed"


class ContentTypeUnsupported(Refused):
    code = "content_type_unsupported"


class RouteNotFound(Refused):
    code = "route_not_found"


class KeyRejected(Refused):
    code = "key_rejected"


class OrganizationSuspended(Refused):
    code = "organization_suspended"


class Frozen(Refused):
    code = "frozen"


class ModelNotFound(Refused):
    code = "model_not_found"


class ModelNotGranted(Refused):
    code = "model_not_granted"


class ModelUnpriced(Refused):
    code = "model_unpriced"


class ProviderNotConfigured(Refused):
    code = "provider_not_configured"


class CapRequired(Refused):
    code = "cap_required"


class PolicyDenied(Refused):
    code = "policy_denied"


class ReviewRequired(Refused):
    code = "review_required"


class ReservationTooLarge(Refused):
    code = "reservation_too_large"


class BudgetExceeded(Refused):
    code = "budget_exceeded"


class BudgetInFlight(Refused):
    code = "budget_in_flight"


class RateLimited(Refused):
    code = "rate_limited"


class Invalid(SpendraError):
    code = "invalid"


class NotFound(Invalid):
    code = "not_found"


class Conflict(SpendraError):
    code = "conflict"


class Busy(SpendraError):
    code = "busy"


class UpstreamFailed(SpendraError):
    code = "upstream_failed"


class UpstreamUnreachable(UpstreamFailed):
    code = "upstream_unreachable"


class UpstreamBrokeOff(UpstreamFailed):
    code = "upstream_broke_off"


class UpstreamTimedOut(UpstreamFailed):
    code = "upstream_timed_out"


class UpstreamMalformed(UpstreamFailed):
    code = "upstream_malformed"


class UpstreamCredentialRejected(UpstreamFailed):
    code = "upstream_credential_rejected"
