"""Nobody changes anything: a cap of fixed dates begins and ends, a price takes effect, and the first request from then
on meets it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from apps.budgets.models import Budget, BudgetOverride
from apps.catalog.models import CatalogModel, Price, PriceVersion
from spendra.kernel.money import format_usd
from tests.freshness.doors import Answer, Doors
from tests.gateway.company import Company
from tests.gateway.governing import activate, draft

WINDOWS = 40
EVERY = timedelta(milliseconds=120)
LASTS = timedelta(milliseconds=60)
LEAD = timedelta(seconds=2)
JUDGED = 10  # at least: an answer to a request that was sent before an instant and came after it tells nothing


def test_caps_of_fixed_dates_bind_from_their_first_instant_to_their_last(company: Company, doors: Doors) -> None:
    first = datetime.now(UTC) + LEAD
    windows = [(first + number * EVERY, first + number * EVERY + LASTS) for number in range(WINDOWS)]
    for starts_at, ends_at in windows:
        Budget.objects.create(
            organization=company.organization, period_kind="fixed", amount=0, fixed_starts_at=starts_at,
            fixed_ends_at=ends_at, counts_from_now=True,
        )  # fmt: skip
    expect_by_time(doors, company, windows, inside=402)


def test_prices_take_effect_at_their_instant(company: Company, doors: Doors) -> None:
    model = CatalogModel.objects.get(provider="openai", name="gpt-4.1-mini")
    first = datetime.now(UTC) + LEAD
    starts = [first + number * EVERY for number in range(WINDOWS)]
    for number, starts_at in enumerate(starts, start=1):
        set_price_a_request(company, model, number, starts_at)
    judged = set()
    while (sent_at := datetime.now(UTC)) < starts[-1] + EVERY:
        answers = doors.expect(200, company.key)
        number = sum(starts_at <= sent_at for starts_at in starts)
        if number and number == sum(starts_at <= datetime.now(UTC) for starts_at in starts):
            judged.add(number)
            doors.stale += [cost_of(answer) for answer in answers if cost_of(answer) != format_usd(number)]
    assert len(judged) >= JUDGED
    doors.check(asked=len(judged))


def test_policies_bind_from_their_first_instant_to_their_last(company: Company, doors: Doors) -> None:
    first = datetime.now(UTC) + LEAD
    windows = [(first + number * EVERY, first + number * EVERY + LASTS) for number in range(WINDOWS)]
    for starts_at, ends_at in windows:
        version = draft(company, "per_request_limit", {"max_nanos": 0})
        activate(company, version, effective_from=starts_at, effective_until=ends_at)
    expect_by_time(doors, company, windows, inside=403)


def test_overrides_bind_from_their_first_instant_to_their_last(company: Company, doors: Doors) -> None:
    budget = company.cap(10**15)
    first = datetime.now(UTC) + LEAD
    windows = [(first + number * EVERY, first + number * EVERY + LASTS) for number in range(WINDOWS)]
    for starts_at, ends_at in windows:
        BudgetOverride.objects.create(
            budget=budget, organization=company.organization, amount=0, starts_at=starts_at, ends_at=ends_at,
            author="test", reason="test",
        )  # fmt: skip
    expect_by_time(doors, company, windows, inside=402)


def expect_by_time(
    doors: Doors, company: Company, windows: Sequence[tuple[datetime, datetime]], *, inside: int
) -> None:
    """That status inside of a window, 200 outside of all; an answer under way over an edge tells nothing."""
    judged = {inside: 0, 200: 0}
    while (sent_at := datetime.now(UTC)) < windows[-1][1]:
        answers = doors.ask(company.key)
        answered_at = datetime.now(UTC)
        if any(starts_at <= sent_at and answered_at < ends_at for starts_at, ends_at in windows):
            expected = inside
        elif not any(starts_at <= answered_at and sent_at < ends_at for starts_at, ends_at in windows):
            expected = 200
        else:
            continue
        judged[expected] += 1
        doors.stale += [f"{answer.status} for {expected}" for answer in answers if answer.status != expected]
    assert min(judged.values()) >= JUDGED
    doors.check(asked=sum(judged.values()))


def cost_of(answer: Answer) -> str:
    return answer.headers["x-spendra-cost-usd"]


def set_price_a_request(company: Company, model: CatalogModel, version: int, starts_at: datetime) -> None:
    """As many nanos a request as its number; tokens are free."""
    added = PriceVersion.objects.create(
        organization=company.organization, model=model, version=version, effective_from=starts_at, source="admin",
        source_date=starts_at.date(),
    )  # fmt: skip
    prices = {"input": 0, "output": 0, "request": version * 10**6}
    Price.objects.bulk_create(
        Price(version=added, usage_class=usage, nanos_per_million=price) for usage, price in prices.items()
    )
