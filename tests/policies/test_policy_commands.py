"""Each command as a script runs it: a process of its own, its exit code, what it prints."""

from apps.audit.models import AuditRecord
from apps.policies.models import Approval, Freeze, PolicyVersion
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import make_organization, make_unit
from tests.policies.asking import ask


def test_a_script_writes_a_policy_and_takes_it_through_its_states(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "Data", kind="team")
    set_it = ("policy_set", "--organization", "acme", "--name", "cheap")
    drafted = run_json(*set_it, "--kind", "allowlist", "--unit", "Data", "--rule", '{"models": ["gpt-4.1-mini"]}')
    assert (drafted["number"], drafted["state"], drafted["unit"]) == (1, "draft", "team:Data")
    assert (drafted["rule"], drafted["findings"]) == ({"models": ["openai/gpt-4.1-mini"]}, [])

    edited = run_json(*set_it, "--rule", '{"models": []}', "--selector", '{"environments": ["staging"]}')
    assert (edited["number"], edited["selector"]) == (1, {"environments": ["staging"]})
    assert [finding["code"] for finding in edited["findings"]] == ["denies_everything"]

    state = ("policy_state", "--organization", "acme", "--name", "cheap")
    assert run_json(*state, "--state", "shadow")["state"] == "shadow"
    active = run_json(*state, "--state", "active", "--effective-until", "2099-01-01T00:00Z")
    assert (active["state"], active["effective_until"]) == ("active", "2099-01-01T00:00:00+00:00")

    second = run_json(*set_it, "--rule", '{"models": ["anthropic/*"]}', "--state", "active")
    assert (second["number"], second["state"], second["selector"]) == (2, "active", {"environments": ["staging"]})
    listed = run_json("policy_list", "--organization", "acme")
    assert [(told["name"], told["number"], told["state"]) for told in listed] == [("cheap", 2, "active")]
    retired = run_json(*state, "--state", "retired", "--reason", "enough")
    assert retired["state"] == "retired"
    assert run_json("policy_list", "--organization", "acme") == []
    assert AuditRecord.objects.filter(action="policies.retire", reason="enough").count() == 1


def test_a_new_version_is_for_the_same_requests_unless_others_are_named(database: Database) -> None:
    make_organization()
    set_it = ("policy_set", "--organization", "acme", "--name", "agents", "--state", "active")
    only_agents = {"actor_kinds": ["agent"]}
    run_json(*set_it, "--kind", "review", "--rule", '{"above_usd": "2"}', "--selector", '{"actor_kinds": ["agent"]}')
    assert run_json(*set_it, "--rule", '{"above_usd": "1"}')["selector"] == only_agents
    assert run_json(*set_it, "--rule", '{"above_usd": "1"}', "--selector", "{}")["selector"] == {}


def test_the_version_to_retire_is_named_where_there_are_several(database: Database) -> None:
    make_organization()
    set_it = ("policy_set", "--organization", "acme", "--name", "cheap")
    run_json(*set_it, "--kind", "allowlist", "--rule", '{"models": []}', "--state", "active")
    run_json(*set_it, "--rule", '{"models": ["openai/*"]}')
    retire = ("policy_state", "--organization", "acme", "--name", "cheap", "--state", "retired")
    refused = run_json(*retire, exit_code=1)
    assert "version 2 (draft), version 1 (active): name one with --number" in refused["error"]["message"]
    assert run_json(*retire, "--number", "1")["number"] == 1
    assert run_json(*retire)["number"] == 2


def test_what_cannot_be_exits_with_1_and_wrong_usage_with_2(database: Database) -> None:
    make_organization()
    set_it = ("policy_set", "--organization", "acme", "--name", "cheap")
    refused = run_json(*set_it, "--rule", '{"models": []}', exit_code=1)
    assert "needs --kind" in refused["error"]["message"]
    refused = run_json(*set_it, "--kind", "allowlist", "--rule", '{"hats": []}', exit_code=1)
    assert (refused["error"]["code"], "has no 'hats'" in refused["error"]["message"]) == ("invalid", True)
    past = ("--state", "active", "--effective-until", "2020-01-01T00:00Z")
    refused = run_json(*set_it, "--kind", "review", "--rule", "{}", *past, exit_code=1)
    assert "ended already" in refused["error"]["message"]
    assert not PolicyVersion.objects.exists()
    for wrong in (
        ["--rule", "{"],
        ["--rule", "{}", "--effective-from", "soon"],
        ["--rule", "{}", "--effective-from", "2099-01-01"],
        ["--rule", "{}", "--kind", "denylist"],
    ):
        code, out, error = run(*set_it, *wrong)
        assert (code, out) == (2, ""), error
    code, _, error = run("policy_state", "--organization", "acme", "--name", "cheap", "--state", "active")
    assert (code, "There is no policy 'cheap' in acme." in error) == (1, True)


def test_a_script_freezes_and_thaws(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "Data", kind="team")
    key_id = make_key(acme).record.key_id
    freeze, thaw = ("freeze", "--organization", "acme"), ("thaw", "--organization", "acme")
    frozen = run_json(*freeze, "--unit", "Data", "--reason", "an incident")
    assert (frozen["target"], frozen["target_kind"], frozen["reason"]) == ("team Data", "unit", "an incident")
    run_json(*freeze, "--key", key_id, "--reason", "stolen")
    run_json(*freeze, "--reason", "unpaid")
    assert Freeze.objects.filter(thawed_at=None).count() == 3
    thawed = run_json(*thaw, "--key", key_id, "--reason", "found")
    assert (thawed["target_id"], thawed["thawed_by"]) == (key_id, "command:thaw")
    refused = run_json(*thaw, "--key", key_id, "--reason", "again", exit_code=1)
    assert refused["error"]["code"] == "not_found"
    run_json(*freeze, "--provider", "openai", "--reason", "no account there", exit_code=1)
    assert run(*freeze, "--unit", "Data", "--key", key_id, "--reason", "two")[0] == 2


def test_a_script_lists_reviews_and_decides_them(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    key_id = make_key(acme).record.key_id
    first, second = ask(connection, acme, key_id=key_id), ask(connection, acme, key_id=key_id, model="gpt-5")
    listed = run_json("review_list", "--organization", "acme", "--state", "pending")
    assert [told["review_id"] for told in listed] == [str(second), str(first)]
    assert (listed[0]["model"], listed[0]["asked_usd"]) == ("gpt-5", "3.00")
    decide = ("review_decide", "--organization", "acme")
    approved = run_json(*decide, str(first), "--approve", "--amount-usd", "2.50", "--valid-for", "2h")
    assert (approved["state"], approved["max_nanos"]) == ("approved", "2500000000")
    assert Approval.objects.get().valid_until.isoformat() == approved["valid_until"]
    denied = run_json(*decide, str(second), "--deny", "--note", "too dear")
    assert (denied["state"], denied["note"]) == ("denied", "too dear")
    assert run_json(*decide, str(second), "--approve", exit_code=1)["error"]["code"] == "conflict"
    assert run_json(*decide, "nonsense", "--approve", exit_code=1)["error"]["code"] == "not_found"
    assert run(*decide, str(first))[0] == 2
