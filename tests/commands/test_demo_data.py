import pytest

from apps.budgets.models import Budget
from apps.identity.models import Person
from apps.keys import format as key_format
from apps.keys.models import Key
from apps.orgs.models import Organization, Unit, UnitEdge
from apps.orgs.scopes import scope_set
from apps.providers.models import ProviderAccount
from spendra.development import demo_data
from spendra.kernel.errors import Conflict
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.orgs.building import make_organization


def test_acme_is_there_with_a_key_that_reaches_something_under_several_caps(database: Database) -> None:
    seeded = demo_data.seed(acting="command:test")
    acme = Organization.objects.get()
    assert (seeded.organization, acme.slug, acme.time_zone) == (acme, "acme", "Europe/Berlin")
    key = Key.objects.get(key_id=key_format.parse(seeded.key)[0])
    assert [grant.pattern for grant in key.grants.all()] == ["openai/*"]
    assert ProviderAccount.objects.get().provider == "openai"
    parents: dict = {}
    for edge in UnitEdge.objects.all():
        parents.setdefault(edge.child_id, []).append(edge.parent_id)
    scopes = scope_set(key.actor_id, None, parents)
    names = {unit.name for unit in Unit.objects.filter(id__in=scopes)}
    assert names == {"code-reviewer", "Atlas", "Ada Brandt", "Platform", "Research", "Berlin"}
    assert Budget.objects.filter(unit_id__in=scopes, hardness="hard").count() == 3
    assert {budget.applies_to_each for budget in Budget.objects.all()} == {"", "employee", "agent"}
    assert Person.objects.get(email=seeded.sign_in_email).check_password(seeded.password)


def test_a_second_run_changes_nothing_but_adds_a_key_and_renews_the_password(database: Database) -> None:
    def counts() -> list[int]:
        return [model.objects.count() for model in (Organization, Unit, UnitEdge, Budget, ProviderAccount, Person)]

    first, before = demo_data.seed(acting="command:test"), counts()
    Budget.objects.filter(period_kind="day").update(amount=1)
    second = demo_data.seed(acting="command:test")
    assert counts() == before
    assert Budget.objects.filter(amount=1).exists()
    assert first.key != second.key
    person = Person.objects.get()
    assert (person.check_password(first.password), person.check_password(second.password)) == (False, True)


def test_a_database_with_a_real_organization_is_left_alone(database: Database) -> None:
    make_organization("acme")
    with pytest.raises(Conflict, match="no demo data: acme"):
        demo_data.seed(acting="command:test")
    assert not Unit.objects.exists()


def test_the_command_needs_its_flag(database: Database) -> None:
    code, out, error = run("seed_demo")
    assert (code, out) == (1, "")
    assert "add --allow-demo-data" in error
    assert not Organization.objects.exists()
    seeded = run_json("seed_demo", "--allow-demo-data")
    assert seeded["organization"] == "acme"
    assert set(seeded["sign_in"]) == {"email", "password"}


def test_an_organization_made_beside_acme_does_not_stop_the_next_demo(database: Database) -> None:
    demo_data.seed(acting="test")
    make_organization("a-try-of-mine")
    assert demo_data.seed(acting="test").organization.slug == "acme"
