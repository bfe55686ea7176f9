"""From a provider's answer to what is booked: exact where the provider said what it used, never too low where not."""

from dataclasses import replace
from datetime import datetime

from apps.catalog.pricing import price_in_force, price_usage, worst_case_nanos
from apps.catalog.types import ModelPrices
from apps.gateway.admission import Admitted
from apps.gateway.answers import Answer
from apps.gateway.booking import Doubt, Spent
from apps.gateway.parsing import ChatRequest
from apps.providers import adapters
from spendra.kernel.money import MAX_AMOUNT_NANOS

# Output tokens a choice that can be on their way when a stream breaks off: in buffers, or written before the provider
# notices. Providers write a few hundred a second.
UNSEEN_TOKENS = 1024

# Errors that leave open whether the provider worked; all others are its own word that it did not, or came before it had
# the request. Why each, and why not its neighbours: docs/decisions/0007.
MAY_HAVE_WORKED = frozenset(
    {
        408,  # learn.microsoft.com, "Plan to manage costs for Azure OpenAI": a time-out there may be charged
        502,  # RFC 9110, 15.6.3: a proxy got an invalid answer, or none, from the server that it had asked
        504,  # RFC 9110, 15.6.5: a proxy waited for the server's answer for too long
        520,  # developers.cloudflare.com, "Cloudflare 5xx errors": the origin's answer was empty or unreadable
        522,  # there: no connection, or a connected origin that did not acknowledge the request in 90 s; one can't tell
        524,  # there: connected, and no answer in time
    }
)


def cost_of(admitted: Admitted, request: ChatRequest, answer: Answer, at: datetime) -> Spent:
    """`final` where the answer is whole and its usage, model and their price are known; else `estimated` from above."""
    usage = adapters.read_usage(answer.usage, service_tier=answer.service_tier, facts=request.facts)
    if usage is None:
        return _from_bytes(admitted, request, answer)
    prices = _prices_of(admitted, answer.model, at)
    cost = price_usage(prices or admitted.route.prices, usage)
    doubt: Doubt | None = "unknown_model" if prices is None else "guessed_price" if cost.is_estimated else None
    told = Spent(
        cost_nanos=min(cost.nanos, MAX_AMOUNT_NANOS),
        tokens=usage.input_total + usage.output_total,
        status="estimated" if doubt or cost.nanos > MAX_AMOUNT_NANOS else "final",
        model=answer.model,
        usage={**usage.nonzero(), "service_tier": usage.service_tier},
        price_version_id=str((prices or admitted.route.prices).version_id),
        doubt=doubt,
    )
    if answer.is_complete:
        return told
    # Of a stream that broke off, usage may have been a running total.
    told = replace(told, status="estimated", doubt="broken_stream")
    return max(told, _from_bytes(admitted, request, answer), key=lambda s: s.cost_nanos)


def reserved(admitted: Admitted) -> Spent:
    """Nothing is known of the call, but the provider may have charged for it: it can't be more than was reserved."""
    estimate = admitted.estimate
    return Spent(
        estimate.nanos, estimate.tokens, "estimated", None, {}, admitted.route.price_version_id, "nothing_known"
    )


def _from_bytes(admitted: Admitted, request: ChatRequest, answer: Answer) -> Spent:
    """Without usage: the input at its bound, and as many output tokens as bytes were seen, a token being at least one.
    Where the answer broke off, what the provider wrote and nobody saw comes on top: docs/decisions/0004.

    Hidden reasoning and rejected predictions show in no byte: then it is the reserved amount.
    """
    estimate, route = admitted.estimate, admitted.route
    most = replace(reserved(admitted), doubt="no_usage" if answer.is_complete else "broken_stream")
    if request.has_prediction or not _shows_all_output(route.provider, route.entry.model):
        return most
    output = -(-answer.content_bytes // request.facts.n) + (0 if answer.is_complete else UNSEEN_TOKENS)
    nanos = worst_case_nanos(
        route.prices, request.facts, input_tokens_bound=estimate.input_tokens, output_tokens_bound=output
    )
    if nanos >= most.cost_nanos:
        return most
    tokens = min(most.tokens, estimate.input_tokens + output * request.facts.n)
    return replace(
        most, cost_nanos=nanos, tokens=tokens, model=answer.model, usage={"content_bytes": answer.content_bytes}
    )


def _shows_all_output(provider: str, model: str) -> bool:
    """OpenAI's models before o1 think in the open: its reasoning guide lists only models that came after."""
    return provider == "openai" and model.startswith(("gpt-3.5", "gpt-4", "chatgpt-4o"))


def _prices_of(admitted: Admitted, model: str | None, at: datetime) -> ModelPrices | None:
    """The prices of the model that answered; None where the catalog does not know it or has no price for it."""
    route = admitted.route
    entry = route.catalog.catalog.resolve(route.provider, model or route.entry.model)
    if entry is None:
        return None
    if entry.model == route.entry.model:
        return route.prices
    price = price_in_force(entry, route.rules.id, at)
    return price.prices if price else None
