"""What need not be asked again and again: how far the requests of one key to one model pass every rule. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from apps.policies.contents import PerRequestLimit, ReviewAbove
from apps.policies.evaluation import evaluate
from apps.policies.types import PolicyRule, RequestView

_NO_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Clearance:
    """A request without hosted tools and of at most these amounts passes all of the rules, those in shadow included."""

    nanos: int
    input_tokens: int
    output_tokens: int

    def holds(self, *, tools: frozenset[str] | None, nanos: int, input_tokens: int, output_tokens: int) -> bool:
        return (
            tools is not None
            and not tools
            and nanos <= self.nanos
            and input_tokens <= self.input_tokens
            and output_tokens <= self.output_tokens
        )


_NONE = Clearance(-1, -1, -1)


def clearance(rules: Iterable[PolicyRule], request: RequestView) -> Clearance:
    """For requests like this one, whatever their amounts, of the rules that are `applicable` to them. Too little, where
    a rule is only for requests with tools: those are evaluated."""
    free = replace(request, tools=frozenset(), nanos=0, input_tokens=0, output_tokens=0)
    decision = evaluate(tuple(rules), free)
    if decision.fired or decision.shadow:
        return _NONE
    nanos, input_tokens, output_tokens = [_NO_LIMIT], [_NO_LIMIT], [_NO_LIMIT]
    for rule in decision.considered:
        content = rule.content
        if isinstance(content, PerRequestLimit):
            nanos.append(_or_none(content.max_nanos))
            input_tokens.append(_or_none(content.max_input_tokens))
            output_tokens.append(_or_none(content.max_output_tokens))
        elif isinstance(content, ReviewAbove):
            nanos.append(_or_none(content.above_nanos))
    return Clearance(min(nanos), min(input_tokens), min(output_tokens))


def _or_none(limit: int | None) -> int:
    return _NO_LIMIT if limit is None else limit
