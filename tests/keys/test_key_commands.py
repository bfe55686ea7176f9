"""Each command as a script runs it: a process of its own, its exit code, what it prints."""

from apps.keys.models import Key
from apps.orgs.models import Unit
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.orgs.building import make_organization, make_unit


def test_a_script_issues_a_key_to_an_actor_it_names_and_revokes_it(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    arguments = ("key_issue", "--organization", "acme", "--actor", "bar 1", "--parent", "Data")
    options = ("--grant", "gpt-4.1-mini", "--grant", "anthropic/*", "--environment", "staging", "--expires-in", "30d")
    limits = ("--max-reservation-usd", "1.50", "--default-output-tokens", "99")
    issued = run_json(*arguments, *options, *limits)
    key = Key.objects.get(key_id=issued["key_id"])
    assert issued["key"].startswith(f"spk_test_{key.key_id}_")
    assert (issued["organization"], issued["actor"], issued["environment_label"]) == ("acme", "agent:bar 1", "staging")
    assert issued["grants"] == ["anthropic/*", "openai/gpt-4.1-mini"]
    assert (key.max_reservation_nanos, key.default_output_tokens) == (1_500_000_000, 99)
    assert issued["expires_at"] == key.expires_at.isoformat()
    assert Unit.objects.get(name="bar 1").parent_edges.get().parent == team

    again = run_json(*arguments)
    assert again["actor_id"] == issued["actor_id"]
    assert again["key_id"] != issued["key_id"]

    revoked = run_json("key_revoke", issued["key_id"])
    key.refresh_from_db()
    assert revoked == {"key_id": key.key_id, "revoked_at": key.revoked_at.isoformat()}
    assert run_json("key_revoke", issued["key_id"]) == revoked


def test_a_refusal_exits_with_1_and_wrong_usage_with_2(database: Database) -> None:
    make_organization()
    refused = run_json("key_issue", "--organization", "nobody", "--actor", "bot", exit_code=1)
    assert refused == {"error": {"code": "not_found", "message": "There is no organization 'nobody'.", "details": {}}}
    code, out, error = run("key_revoke", "nobody")
    assert (code, out) == (1, "")
    assert "There is no key 'nobody'." in error
    for wrong in (["--expires-in", "soon"], ["--max-reservation-usd", "1,50"], ["--environment", "prod"]):
        code, out, error = run("key_issue", "--organization", "acme", "--actor", "bot", *wrong)
        assert (code, out) == (2, "")
        assert wrong[1] in error
    assert not Unit.objects.exists()


def test_a_refused_key_leaves_no_actor_behind(database: Database) -> None:
    make_organization()
    run_json("key_issue", "--organization", "acme", "--actor", "bot", "--grant", "a b", exit_code=1)
    assert not Unit.objects.exists()


def test_a_person_reads_the_key_once_and_what_it_reaches(database: Database) -> None:
    make_organization()
    code, out, _ = run("key_issue", "--organization", "acme", "--actor", "bot")
    assert code == 0
    assert out.startswith(f"spk_test_{Key.objects.get().key_id}_")
    assert "reaches nothing yet" in out
