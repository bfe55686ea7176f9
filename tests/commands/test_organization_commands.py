from apps.orgs.models import Organization, Unit
from apps.providers.models import ProviderAccount
from tests.commands.running import run, run_json
from tests.databases import Database


def test_a_script_creates_an_organization_and_its_units(database: Database) -> None:
    made = run_json("organization_create", "--slug", "acme", "--name", "Acme", "--time-zone", "Europe/Berlin")
    acme = Organization.objects.get()
    assert made == {
        "id": str(acme.id),
        "slug": "acme",
        "name": "Acme",
        "time_zone": "Europe/Berlin",
        "provider_accounts": ["openai"],
    }
    assert ProviderAccount.objects.get().organization == acme

    arguments = ("unit_create", "--organization", "acme", "--kind")
    run_json(*arguments, "team", "--name", "Data")
    bot = run_json(*arguments, "agent", "--name", "bot", "--parent", "team:Data")
    assert bot["parents"] == ["team:Data"]
    assert Unit.objects.get(id=bot["id"]).parent_edges.get().parent.name == "Data"


def test_a_refused_organization_or_unit_leaves_nothing(database: Database) -> None:
    assert run_json("organization_create", "--slug", "acme", "--name", "A", "--time-zone", "X", exit_code=1) == {
        "error": {"code": "invalid", "message": "'X' is not a time zone name such as Europe/Berlin.", "details": {}}
    }
    assert not Organization.objects.exists()
    code, out, error = run("unit_create", "--organization", "acme", "--kind", "team", "--name", "Data")
    assert (code, out) == (1, "")
    assert "There is no organization 'acme'." in error
