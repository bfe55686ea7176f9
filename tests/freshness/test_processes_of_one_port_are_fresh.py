"""What holds for gateways apart holds for processes that share a port."""

from apps.budgets.capping import change_amount
from apps.keys.revoking import revoke
from tests.freshness.doors import Doors
from tests.gateway.company import Company


def test_a_key_issued_and_revoked_binds_both_processes(company: Company, doors_of_one_port: Doors, rounds: int) -> None:
    for _ in range(rounds):
        issued = company.another_key()
        doors_of_one_port.expect(200, issued.key)
        revoke(issued.record.key_id, acting="test")
        doors_of_one_port.expect(401, issued.key)
    doors_of_one_port.check(asked=2 * rounds)


def test_a_cap_changed_binds_both_processes(company: Company, doors_of_one_port: Doors, rounds: int) -> None:
    budget = company.cap(10**15)
    for _ in range(rounds):
        change_amount(budget, amount=1, acting="test")
        doors_of_one_port.expect(402, company.key)
        change_amount(budget, amount=10**15, acting="test")
        doors_of_one_port.expect(200, company.key)
    doors_of_one_port.check(asked=2 * rounds)
