"""From a provider's answer to what is booked: exact where the provider said what it used, never too low where not."""

from datetime import datetime

from apps.catalog.pricing import price_in_force, price_usage, worst_case_nanos
from apps.catalog.types import ModelPrices
from apps.gateway.admission import Admitted
from apps.gateway.answers import Answer
from apps.gateway.booking import Spent
from apps.gateway.parsing import ChatRequest
from apps.providers import adapters
from spendra.kernel.money import MAX_AMOUNT_NANOS


def cost_of(admitted: Admitted, request: ChatRequest, answer: Answer, at: datetime) -> Spent:
    """`final` where the usage, the model and their price are known; else `estimated` from above."""
    # A stream that broke off may have told a running total only.
    is_whole = answer.is_complete
    usage = adapters.read_usage(answer.usage, service_tier=answer.service_tier, facts=request.facts)
    if usage is None:
        return estimated(admitted, request, answer)
    prices = _prices_of(admitted, answer.model, at)
    cost = price_usage(prices or admitted.route.prices, usage)
    return Spent(
        cost_nanos=min(cost.nanos, MAX_AMOUNT_NANOS),
        tokens=usage.input_total + usage.output_total,
        status="final" if is_whole and prices is not None and not cost.is_estimated else "estimated",
        model=answer.model,
        usage={**usage.nonzero(), "service_tier": usage.service_tier},
        price_version_id=str((prices or admitted.route.prices).version_id),
    )


def estimated(admitted: Admitted, request: ChatRequest, answer: Answer) -> Spent:
    """Without usage: the input at its bound, and as many output tokens as bytes were seen, a token being at least one.

    Hidden reasoning shows in no byte: a model that reasons is booked at the reserved amount, as is a request with
    anything else that the bytes seen don't bound.
    """
    estimate, route = admitted.estimate, admitted.route
    nanos, tokens = estimate.nanos, estimate.tokens
    if answer.content_bytes and _shows_all_output(route.provider, route.entry.model):
        nanos = min(
            nanos,
            worst_case_nanos(
                route.prices,
                request.facts,
                input_tokens_bound=estimate.input_tokens,
                output_tokens_bound=-(-answer.content_bytes // request.facts.n),
            ),
        )
        tokens = min(tokens, estimate.input_tokens + answer.content_bytes)
    return Spent(
        nanos, tokens, "estimated", answer.model, {"content_bytes": answer.content_bytes}, route.price_version_id
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
