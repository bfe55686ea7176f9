"""A key's largest reservation holds beside the caps, whoever else spends from them."""

from itertools import cycle

from apps.budgets.models import Reservation
from tests.exactness.books import check_books, check_caps
from tests.exactness.load import Caller, first_request, run_once, run_until_refused, statuses
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox


def test_requests_above_the_keys_limit_reserve_nothing(company: Company, urls: list[str], sandbox: Sandbox) -> None:
    first, one = first_request(company)
    company.cap(one.booked_nanos * 100, period_kind="month")
    modest = company.another_key(max_reservation_nanos=one.amount_nanos)
    requests = cycle([{}, {"max_tokens": 5_000}, {"stream": True}, {"stream": True, "max_tokens": 5_000}])
    callers = [
        Caller(url, modest.key, request) for url, request, _ in zip(cycle(urls * 2), requests, range(32), strict=False)
    ]
    run_until_refused(callers)
    large = [caller for caller in callers if "max_tokens" in caller.request]
    small = [caller for caller in callers if caller not in large]
    assert statuses(large) == {403: len(large)}
    assert {answer.error["code"] for caller in large for answer in caller.answers} == {"reservation_too_large"}
    assert statuses(small)[200] > 50
    assert set(statuses(small)) <= {200, 402, 429}
    ours = Reservation.objects.filter(key_id=modest.record.key_id)
    assert ours.count() == statuses(small)[200]
    assert max(ours.values_list("amount_nanos", flat=True)) <= one.amount_nanos
    check_books(company.organization, sandbox.url, [first, *callers])
    check_caps(company.organization)


def test_many_requests_at_once_that_fit_only_when_counted_exactly_all_pass(company: Company, urls: list[str]) -> None:
    """Their bytes bound them above the key's limit, their tokens well below it."""
    words = {"messages": [{"role": "user", "content": "hello there " * 200}]}
    company.chat(**words)
    (one,) = company.wait_for_ends(1)
    modest = company.another_key(max_reservation_nanos=one.amount_nanos // 2)
    callers = [Caller(url, modest.key, words) for url in urls for _ in range(60)]
    run_once(callers)
    assert statuses(callers) == {200: 120}
