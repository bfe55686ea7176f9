"""The environment of a key, and the project that its spend counts for as well, change after it was issued."""

import pytest

from apps.audit.models import AuditRecord
from apps.keys import changing, revoking
from apps.keys.models import Key
from apps.orgs import units
from spendra.kernel.errors import Invalid, NotFound
from tests.commands.running import run_json
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization, make_unit


def test_what_is_named_changes_and_the_rest_stays(database: Database) -> None:
    acme = make_organization()
    atlas = make_unit(acme, "Atlas", kind="project")
    key_id = make_key(acme).record.key_id
    changing.reassign(key_id, environment_label="production", project=atlas, acting=ACTING, reason="it is live")
    changing.reassign(key_id, environment_label="staging", acting=ACTING)
    changing.reassign(key_id, environment_label="staging", acting=ACTING)  # nothing new, and nothing to record
    assert (Key.objects.get().environment_label, Key.objects.get().project) == ("staging", atlas)
    assert changing.reassign(key_id, project=None, acting=ACTING).project is None
    first, second, third = AuditRecord.objects.filter(action="keys.reassign").order_by("id")
    assert (first.before, first.reason) == ({"environment_label": "development", "project": None}, "it is live")
    assert second.after == third.before == {"environment_label": "staging", "project": "Atlas"}


def test_what_cannot_be_is_refused_and_nothing_changes(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    gone = make_unit(acme, "Gone", kind="project")
    units.archive(gone, organization=acme, acting=ACTING)
    key_id = make_key(acme).record.key_id
    refused: tuple[tuple[changing.Assignment, type[Invalid], str], ...] = (
        ({"environment_label": "prod"}, Invalid, "is no environment"),
        ({"project": gone}, Invalid, "is archived"),
        ({"project": make_unit(acme, "Data", kind="team")}, Invalid, "cannot be the project"),
        ({"project": make_unit(globex, "Atlas", kind="project")}, NotFound, "There is no unit"),
    )
    for changes, error, sentence in refused:
        with pytest.raises(error, match=sentence):
            changing.reassign(key_id, acting=ACTING, **changes)
    assert (Key.objects.get().environment_label, Key.objects.get().project) == ("development", None)
    assert not AuditRecord.objects.filter(action="keys.reassign").exists()


def test_a_revoked_key_and_that_of_another_organization_stay(database: Database) -> None:
    key_id = make_key(make_organization()).record.key_id
    with pytest.raises(NotFound):
        changing.reassign(key_id, organization=make_organization("globex"), environment_label="staging", acting=ACTING)
    revoking.revoke(key_id, acting=ACTING)
    with pytest.raises(Invalid, match="is revoked"):
        changing.reassign(key_id, environment_label="staging", acting=ACTING)


def test_a_script_reassigns_a_key(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "Atlas", kind="project")
    key_id = make_key(acme).record.key_id
    changed = run_json("key_change", key_id, "--environment", "production", "--project", "Atlas")
    assert (changed["environment_label"], changed["project"]) == ("production", "Atlas")
    assert run_json("key_change", key_id, "--project", "none")["project"] is None
    assert run_json("key_change", key_id, "--project", "Nobody", exit_code=1)["error"]["code"] == "not_found"


def test_an_operator_reassigns_a_key_on_its_page(database: Database) -> None:
    acme = make_organization()
    atlas = make_unit(acme, "Atlas", kind="project")
    key, browser = make_key(acme).record, signed_in()
    page = f"/admin/keys/key/{key.id}/act/reassign/"
    assert '<option value="development" selected>' in browser.get(page).content.decode()
    fields = {"environment_label": "production", "project": "Nobody", "reason": "it is live"}
    assert "There is no project" in browser.post(page, fields).content.decode()
    answer = browser.post(page, {**fields, "project": "Atlas"}, follow=True)
    assert f"The key {key.key_id} is changed." in answer.content.decode()
    key.refresh_from_db()
    assert (key.environment_label, key.project) == ("production", atlas)
    units.archive(atlas, organization=acme, acting=ACTING)
    browser.post(page, {**fields, "environment_label": "staging", "project": "Atlas"})
    key.refresh_from_db()
    assert (key.environment_label, key.project) == ("staging", atlas)  # what it has already is not asked for again
    browser.post(page, {**fields, "project": ""})
    key.refresh_from_db()
    assert key.project is None
