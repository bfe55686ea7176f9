"""The exact count of what the provider has charged."""

from dataclasses import dataclass
from typing import Any

from spendra.development.sandbox_provider.prices import PricedModel, Usage

MAX_LISTED = 100_000  # older requests stay in the sums


@dataclass(slots=True)
class Charge:
    """One request's. Grows while its answer is generated, also when nobody reads it any more."""

    book: "Charges"
    model: PricedModel
    answered_as: str
    completion_id: str
    client_request_id: str | None
    tier: str
    usage: Usage
    nanos: int = 0

    def grow(self, usage: Usage) -> None:
        nanos = self.model.charge(usage, self.tier)
        self.book.charged_nanos += nanos - self.nanos
        self.usage, self.nanos = usage, nanos

    def listed(self) -> dict[str, Any]:
        return {
            "charged_nanos": str(self.nanos),
            "model": self.answered_as,
            "completion_id": self.completion_id,
            "client_request_id": self.client_request_id,
            "usage": {
                "prompt_tokens": self.usage.prompt_tokens,
                "cached_tokens": self.usage.cached_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "reasoning_tokens": self.usage.reasoning_tokens,
            },
        }


class Charges:
    def __init__(self) -> None:
        self.requests = 0
        self.charged_nanos = 0
        self._by_request: dict[str, Charge] = {}

    def open(self, request_id: str, charge: Charge) -> None:
        """From here on the request costs money."""
        charge.grow(charge.usage)
        self.requests += 1
        self._by_request[request_id] = charge
        if len(self._by_request) > MAX_LISTED:
            del self._by_request[next(iter(self._by_request))]

    def listed(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "charged_nanos": str(self.charged_nanos),
            "by_request": {request_id: charge.listed() for request_id, charge in self._by_request.items()},
        }
