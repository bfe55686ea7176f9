"""Periods as operators look at them: what is settled, reserved and left of a cap, as a table."""

from django.db.models import QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.budgets.models import Budget, Period, amount_in_words
from spendra.kernel import clock
from spendra.kernel.admin_links import row_link


def current_windows(periods: QuerySet[Period]) -> QuerySet[Period]:
    now = clock.now()
    return periods.filter(starts_at__lte=now, ends_at__gt=now)


def cap_of(budget: Budget) -> int:
    """In force now: an override's, where there is one. Lists have them prefetched."""
    now = clock.now()
    given = (one.amount for one in budget.overrides.all() if one.is_in_force(now))
    return next(given, budget.amount)


def remaining(budget: Budget, period: Period) -> int:
    return cap_of(budget) - period.settled - period.reserved


def cap_in_words(budget: Budget) -> str:
    cap, base = cap_of(budget), budget.amount
    told = amount_in_words(cap, budget.measure)
    return told if cap == base else f"{told} instead of {amount_in_words(base, budget.measure)}"


def rule_of(budget: Budget) -> str:
    told = f"{budget.hardness}, {budget.period_kind}"
    if budget.selector:
        told = f"{told}, for {', '.join(value for values in budget.selector.values() for value in values)}"
    return told if budget.archived_at is None else f"{told}, archived"


def window_cells(budget: Budget, period: Period) -> tuple[object, ...]:
    amounts = (period.settled, period.reserved, remaining(budget, period), cap_of(budget))
    scope = period.unit or budget.unit or "the whole organization"
    link = row_link("budgets_period", period.id, period.label)
    return (link, scope, *(amount_in_words(amount, budget.measure) for amount in amounts), budget.hardness)


def window_table(rows: list[tuple[object, ...]]) -> SafeString:
    cells = '<td>{}</td><td>{}</td><td class="number">{}</td>' + '<td class="number">{}</td>' * 3 + "<td>{}</td>"
    return format_html(
        '<table class="figures"><thead><tr><th scope="col">Period</th><th scope="col">Scope</th>'
        '<th scope="col" class="number">Settled</th><th scope="col" class="number">Reserved</th>'
        '<th scope="col" class="number">Remaining</th><th scope="col" class="number">Cap</th>'
        '<th scope="col">Hardness</th></tr></thead><tbody>{}</tbody></table>',
        format_html_join("", f"<tr>{cells}</tr>", rows),
    )
