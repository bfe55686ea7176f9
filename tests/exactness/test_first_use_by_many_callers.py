"""Nothing is known yet: no period is open, no process has loaded the rules, and everybody comes at once."""

from itertools import cycle
from pathlib import Path

from apps.budgets.models import Period
from apps.orgs.units import create_unit
from tests.databases import Database
from tests.exactness.books import check_books
from tests.exactness.load import Caller, run_once, statuses
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway

AT_ONCE = 48
AGENTS = 6


def test_callers_who_meet_a_scope_first_open_each_period_once(
    company: Company, urls: list[str], sandbox: Sandbox
) -> None:
    organization = company.organization
    team = create_unit(organization=organization, kind="team", name="Red", acting="test")
    for period_kind in ("day", "week", "month", "year"):
        company.cap(10**12, applies_to_each="agent", unit=team, period_kind=period_kind)
        company.cap(10**12, applies_to_each="team", period_kind=period_kind)
    agents = [
        create_unit(organization=organization, kind="agent", name=f"Agent {number}", parents=[team], acting="test")
        for number in range(AGENTS)
    ]
    keys = [company.another_key(actor=agent).key for agent in agents]
    callers = [Caller(url, key) for url, key, _ in zip(cycle(urls), cycle(keys), range(AT_ONCE), strict=False)]
    run_once(callers)
    assert statuses(callers) == {200: AT_ONCE}
    check_books(organization, sandbox.url, callers)
    periods = Period.objects.filter(organization_id=organization.id)
    assert periods.count() == 4 * (AGENTS + 1)
    assert sum(periods.filter(unit=team).values_list("settled", flat=True)) == sum(
        periods.exclude(unit=team).values_list("settled", flat=True)
    )


def test_a_gateway_that_has_just_started_serves_everybody_at_once(
    company: Company, urls: list[str], shared_database: Database, sandbox: Sandbox, tmp_path: Path
) -> None:
    """More than an address may guess keys: behind an ingress all of them come from one."""
    keys = [company.another_key().key for _ in range(50)]
    with RunningGateway(shared_database.url, sandbox.url, tmp_path / "cold.log") as gateway:
        callers = [Caller(gateway.url, key) for key in keys for _ in range(4)]
        run_once(callers)
        assert statuses(callers) == {200: len(callers)}
        check_books(company.organization, sandbox.url, callers)
