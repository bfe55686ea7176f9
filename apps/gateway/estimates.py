"""The worst case of a request on its route: pure."""

from dataclasses import dataclass

from apps.catalog import estimating
from apps.catalog.pricing import worst_case_nanos
from apps.gateway.parsing import ChatRequest
from apps.gateway.routing import Route


@dataclass(frozen=True, slots=True)
class Estimate:
    """The worst case that is reserved: what the input and the output of one request can come to."""

    input_tokens: int
    output_tokens: int  # a choice
    choices: int
    nanos: int
    is_default_output: bool  # the output limit is ours: the request sets none

    @property
    def all_output_tokens(self) -> int:
        return self.output_tokens * self.choices

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.all_output_tokens


def estimate_of(route: Route, request: ChatRequest, exact_input: int | None) -> Estimate:
    """The worst case of the request on this route. ModelUnpriced where nothing bounds it."""
    facts = request.facts
    bound = estimating.input_bound(request.body, facts, route.entry)
    if exact_input is not None:
        bound = min(bound, exact_input)
    # A prediction is billed beyond every limit, also one of ours: only the model's own maximum bounds it.
    default = None if request.has_prediction else default_output_limit(route, request)
    output = estimating.output_bound(facts, route.entry, default_output_tokens=default)
    nanos = worst_case_nanos(route.prices, facts, input_tokens_bound=bound, output_tokens_bound=output)
    return Estimate(
        input_tokens=bound,
        output_tokens=output,
        choices=facts.n,
        nanos=nanos,
        is_default_output=request.output_limit is None,
    )


def default_output_limit(route: Route, request: ChatRequest) -> int | None:
    """The output limit to write into the request: the key's or organization's default where the client set none."""
    default = route.key.default_output_tokens or route.rules.default_output_tokens
    if request.output_limit is not None or default is None:
        return None
    return min(default, route.entry.max_output_tokens or default)
