from threading import Barrier, Thread

import pytest
from django.db import connection

from apps.audit.models import AuditRecord
from apps.orgs import units
from apps.policies import drafting
from apps.policies.models import Policy, PolicyVersion
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit
from tests.policies.building import activate, make_draft, seen

MINI = {"models": ["openai/gpt-4.1-mini"]}


def test_a_policy_begins_with_a_draft_that_is_audited(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    version = make_draft(acme, unit=team, selector={"environments": ["staging"]}, rule={"models": ["gpt-4.1-mini"]})
    assert (version.number, version.state, version.policy.unit) == (1, "draft", team)
    assert (version.selector, version.rule) == ({"environments": ["staging"]}, MINI)
    assert version.created_by == ACTING
    record = AuditRecord.objects.get(action="policies.create_policy")
    assert (record.object_id, record.after["rule"]) == (str(version.policy_id), MINI)


def test_a_draft_is_edited_and_a_new_one_begins_beside_what_is_in_force(database: Database) -> None:
    acme = make_organization()
    version = make_draft(acme)
    edited = drafting.edit_draft(version, rule={"models": ["anthropic/*"]}, **seen(version)).version
    assert edited.rule == {"models": ["anthropic/*"]}
    activate(version)
    second = drafting.draft_version(version.policy, rule=MINI, **seen(version)).version
    assert (second.number, second.state) == (2, "draft")
    assert PolicyVersion.objects.get(number=1).rule == {"models": ["anthropic/*"]}
    with pytest.raises(Conflict, match="has a draft already"):
        drafting.draft_version(version.policy, rule=MINI, **seen(version))
    with pytest.raises(Conflict, match="stays as it is"):
        drafting.edit_draft(version, rule=MINI, **seen(version))


def test_a_policy_that_cannot_be_is_refused(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    archived = make_unit(acme, "Old", kind="team")
    units.archive(archived, organization=acme, acting=ACTING)
    make_draft(acme, "taken")
    for error, refused in (
        (Conflict, {"name": "taken"}),
        (Invalid, {"name": " "}),
        (Invalid, {"name": "a\x00b"}),
        (Invalid, {"unit": archived}),
        (Invalid, {"kind": "denylist"}),
        (Invalid, {"rule": {"models": 7}}),
        (Invalid, {"selector": {"models": 7}}),
        (NotFound, {"unit": make_unit(globex, "theirs")}),
    ):
        with pytest.raises(error):
            make_draft(acme, **{"name": "new", **refused})
    assert Policy.objects.count() == 1


def test_another_organization_gets_not_found(database: Database) -> None:
    version = make_draft(make_organization())
    theirs = {**seen(version), "organization": make_organization("globex")}
    with pytest.raises(NotFound):
        drafting.edit_draft(version, rule=MINI, **theirs)
    with pytest.raises(NotFound):
        drafting.draft_version(version.policy, rule=MINI, **theirs)


def test_of_two_people_who_saw_the_same_policy_one_changes_it(database: Database) -> None:
    version = make_draft(make_organization())
    as_seen, together = seen(version), Barrier(2)
    outcomes: list[str] = []
    refused: list[str] = []

    def edit(model: str) -> None:
        together.wait()
        try:
            drafting.edit_draft(version, rule={"models": [model]}, **as_seen)
            outcomes.append(model)
        except Conflict as error:
            refused.append(error.message)
        finally:
            connection.close()

    people = [Thread(target=edit, args=(model,)) for model in ("openai/one", "openai/two")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert [PolicyVersion.objects.get().rule["models"]] == [outcomes]
    assert refused == ["Somebody has changed the policy 'cheap models' since you saw it: look at it again."]
