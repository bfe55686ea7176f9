from apps.audit.models import AuditRecord
from apps.orgs.models import Organization, Unit
from apps.providers.models import ProviderAccount
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.orgs.building import make_organization, make_unit


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


def test_a_script_moves_archives_and_restores_a_unit(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    data, bot = make_unit(acme, "Data", kind="team"), make_unit(acme, "bot")
    theirs = make_unit(globex, "theirs", kind="team")
    of_acme = ("--organization", "acme")
    assert run_json("unit_move", "bot", *of_acme, "--parent", "team:Data")["parents"] == ["team:Data"]
    assert [edge.parent_id for edge in bot.parent_edges.all()] == [data.id]
    refused = run_json("unit_move", "bot", *of_acme, "--parent", str(theirs.id), exit_code=1)
    assert refused["error"]["code"] == "not_found"
    assert run_json("unit_archive", "Data", *of_acme, exit_code=1)["error"]["code"] == "invalid"  # bot is below it
    assert run_json("unit_move", "bot", *of_acme)["parents"] == []
    assert run_json("unit_archive", "Data", *of_acme, "--reason", "merged")["archived_at"] is not None
    assert run_json("unit_archive", "Data", *of_acme, "--restore")["archived_at"] is None
    assert AuditRecord.objects.filter(action="orgs.archive_unit", reason="merged").count() == 1


def test_a_refused_organization_or_unit_leaves_nothing(database: Database) -> None:
    assert run_json("organization_create", "--slug", "acme", "--name", "A", "--time-zone", "X", exit_code=1) == {
        "error": {"code": "invalid", "message": "'X' is not a time zone name such as Europe/Berlin.", "details": {}}
    }
    assert not Organization.objects.exists()
    code, out, error = run("unit_create", "--organization", "acme", "--kind", "team", "--name", "Data")
    assert (code, out) == (1, "")
    assert "There is no organization 'acme'." in error


def test_an_argument_that_is_not_utf8_is_a_usage_error(database: Database) -> None:
    make_organization()
    unreadable = "caf\udce9"  # As Python hands on the byte 0xe9.
    for arguments in (
        ("unit_create", "--organization", "acme", "--kind", "team", "--name", unreadable),
        ("key_issue", "--organization", "acme", "--actor", "bot", "--grant", unreadable),
    ):
        code, out, error = run(*arguments)
        assert (code, out) == (2, "")
        assert "is not UTF-8" in error
    assert not Unit.objects.exists()
