"""Nobody changes anything: a cap of fixed dates begins and ends, a price takes effect, and the first request from then
on meets it."""

from datetime import UTC, datetime, timedelta

from apps.budgets.models import Budget
from apps.catalog.models import CatalogModel, Price, PriceVersion
from spendra.kernel.money import format_usd
from tests.freshness.doors import Answer, Doors
from tests.gateway.company import Company

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
            fixed_ends_at=ends_at,
        )  # fmt: skip
    inside, outside = 0, 0
    while (sent_at := datetime.now(UTC)) < windows[-1][1]:
        answers = doors.ask(company.key)
        answered_at = datetime.now(UTC)
        if any(starts_at <= sent_at and answered_at < ends_at for starts_at, ends_at in windows):
            inside += 1
            doors.stale += [f"{answer.status} inside" for answer in answers if answer.status != 402]
        elif not any(starts_at <= answered_at and sent_at < ends_at for starts_at, ends_at in windows):
            outside += 1
            doors.stale += [f"{answer.status} outside" for answer in answers if answer.status != 200]
    assert inside >= JUDGED
    assert outside >= JUDGED
    doors.check(asked=inside + outside)


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
