"""Each row about decisions is about what it says: `loads` asserts how every request of it ends."""

from apps.gateway.deciding import Decided
from bench.deciding import Load, company, loads, most_for_a_request, request


def test_rows_are_of_requests_that_end_as_they_say() -> None:
    asked = loads()
    assert len(asked.repeated) == 8
    assert len(asked.first) == 3


def test_a_first_decision_works_its_route_out_and_the_next_does_not() -> None:
    load = Load(company(policies=True), request(), keys=1)
    first: Decided = load.decide_first(0)
    assert load.decide(1).route is first.route
    assert load.decide_first(2).route is not first.route


def test_several_policies_and_budgets_concern_a_request() -> None:
    policies, budgets = most_for_a_request(company(policies=True))
    assert policies > 20
    assert budgets >= 4
