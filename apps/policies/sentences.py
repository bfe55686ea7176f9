"""What people read of a decision: the gateway's refusal and an explanation say the same."""

from collections.abc import Iterable
from datetime import datetime

from apps.policies.contents import Alert, Allowlist, Content, PerRequestLimit, ReviewAbove, Unreadable
from apps.policies.selectors import Selector, told
from apps.policies.types import FreezeRule, Outcome, PolicyRule, RequestView
from spendra.kernel.money import format_usd


def model_outside(rule: PolicyRule, allowed: tuple[str, ...], request: RequestView) -> str:
    if not allowed:
        return f"{_the(rule)} allows no model."
    return f"{_the(rule)} allows only {told(allowed)}, not {_model(request)}."


def endpoint_outside(rule: PolicyRule, allowed: tuple[str, ...], request: RequestView) -> str:
    return f"{_the(rule)} allows only the endpoints {told(allowed)}, not {request.endpoint}."


def tools_outside(rule: PolicyRule, allowed: tuple[str, ...], outside: Iterable[str]) -> str:
    return f"{_the(rule)} allows {_tools(allowed)}, not {told(_shown(outside))}."


def tools_unknown(rule: PolicyRule, allowed: tuple[str, ...]) -> str:
    return f"{_the(rule)} allows {_tools(allowed)}, and which ones this request uses can't be told."


def too_dear(rule: PolicyRule, most: int, request: RequestView) -> str:
    return (
        f"{_the(rule)} allows {format_usd(most)} USD a request; this one may cost {format_usd(request.nanos)} USD. "
        "A lower output limit or a cheaper model costs less."
    )


def too_long(rule: PolicyRule, most: int, request: RequestView) -> str:
    return f"{_the(rule)} allows {most} input tokens a request; this one may have {request.input_tokens}."


def too_much_asked(rule: PolicyRule, most: int, request: RequestView) -> str:
    return (
        f"{_the(rule)} allows {most} output tokens a request; this one may have {request.output_tokens}. "
        "Set a lower output limit."
    )


def needs_review(rule: PolicyRule, content: ReviewAbove, request: RequestView) -> str:
    if content.above_nanos is None:
        return f"{_the(rule)} asks for a review of every request like this one."
    return (
        f"{_the(rule)} asks for a review above {format_usd(content.above_nanos)} USD a request; "
        f"this one may cost {format_usd(request.nanos)} USD."
    )


def undecidable_selector(rule: PolicyRule) -> str:
    if rule.selector is None:
        return f"{_the(rule)} selects requests in a way that this release of Spendra does not know, so it denies."
    return (
        f"{_the(rule)} is for requests with {told(rule.selector.tools)}, and whether this is one can't be told, "
        "so it denies."
    )


def unreadable(rule: PolicyRule, content: Unreadable) -> str:
    return f"{_the(rule)} has a rule that this release of Spendra can't read, so it denies: {content.why}"


def frozen(freeze: FreezeRule, *, unit: str = "") -> str:
    """`unit` names the one that is frozen, such as "team Data"."""
    targets = {
        "organization": "organization",
        "unit": unit or "unit",
        "provider_account": f"account at {freeze.target_id}",
        "key": f"key {freeze.target_id}",
    }
    return f"The {targets[freeze.target_kind]} is frozen, so no request passes: {freeze.reason}"


def when(rule: PolicyRule, outcome: Outcome) -> str:
    if outcome == "not_yet":
        return f"It begins at {_instant(rule.effective_from)}."
    return f"It ended at {_instant(rule.effective_until)}."


def mismatch(selector: Selector, request: RequestView) -> str:
    sentence = selector.mismatch(request)
    return f"{sentence[0].upper()}{sentence[1:]}."


def alerts(content: Alert) -> str:
    percentages = ", ".join(f"{threshold} %" for threshold in content.thresholds)
    return f"It writes an alert at {percentages} of a budget, and decides nothing."


def passed(content: Content, request: RequestView) -> str:
    if isinstance(content, Allowlist):
        return f"All that the request asks for is allowed: {_allowed(content)}."
    if isinstance(content, PerRequestLimit):
        return f"The request is within {_limits(content)}: it may cost {format_usd(request.nanos)} USD."
    assert isinstance(content, ReviewAbove)
    assert content.above_nanos is not None
    return f"{format_usd(request.nanos)} USD is not above {format_usd(content.above_nanos)} USD."


def _allowed(content: Allowlist) -> str:
    lists = (("models", content.models), ("hosted tools", content.tools), ("endpoints", content.endpoints))
    return "; ".join(f"{name} {told(values)}" for name, values in lists if values is not None)


def _limits(content: PerRequestLimit) -> str:
    limits = (
        None if content.max_nanos is None else f"{format_usd(content.max_nanos)} USD",
        None if content.max_input_tokens is None else f"{content.max_input_tokens} input tokens",
        None if content.max_output_tokens is None else f"{content.max_output_tokens} output tokens",
    )
    return ", ".join(filter(None, limits))


def _the(rule: PolicyRule) -> str:
    return f"The policy {rule.name!r} (version {rule.number})"


def _tools(allowed: tuple[str, ...]) -> str:
    return f"only the hosted tools {told(allowed)}" if allowed else "no hosted tools"


def _shown(tools: Iterable[str]) -> list[str]:
    """Tools are the client's words: no more of each than a sentence bears."""
    return sorted(tool[:80] for tool in tools)


def _model(request: RequestView) -> str:
    return f"{request.provider}/{request.model}"


def _instant(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
