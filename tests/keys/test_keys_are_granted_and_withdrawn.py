import pytest

from apps.audit.models import AuditRecord
from apps.keys import granting, queries, revoking
from spendra.kernel.errors import Invalid, NotFound
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization


def test_grants_are_added_once_and_taken_away(database: Database) -> None:
    key = make_key(make_organization(), grants=["gpt-4.1"]).record
    for _ in range(2):
        granted = granting.grant(key.key_id, patterns=["gpt-4.1", "anthropic/*"], acting=ACTING)
        assert granted == ["anthropic/*", "openai/gpt-4.1"]
    assert granting.withdraw(key.key_id, patterns=["gpt-4.1"], acting=ACTING) == ["anthropic/*"]
    assert queries.grants_of(key) == ["anthropic/*"]
    records = AuditRecord.objects.filter(object_kind="key").order_by("at")
    assert [record.action for record in records] == ["keys.issue", "keys.grant", "keys.withdraw"]
    assert records[2].before == {"grants": ["anthropic/*", "openai/gpt-4.1"]}


def test_what_is_not_granted_as_such_cannot_be_withdrawn(database: Database) -> None:
    key = make_key(make_organization(), grants=["openai/*"]).record
    with pytest.raises(NotFound, match=r"has no grant openai/gpt-4\.1: it has openai/\*"):
        granting.withdraw(key.key_id, patterns=["gpt-4.1"], acting=ACTING)


def test_a_revoked_key_is_granted_nothing_more(database: Database) -> None:
    key = make_key(make_organization()).record
    revoking.revoke(key.key_id, acting=ACTING)
    with pytest.raises(Invalid, match="is revoked"):
        granting.grant(key.key_id, patterns=["gpt-4.1"], acting=ACTING)


def test_another_organizations_key_is_not_found(database: Database) -> None:
    key = make_key(make_organization(), grants=["gpt-4.1"]).record
    globex = make_organization("globex")
    with pytest.raises(NotFound):
        granting.grant(key.key_id, organization=globex, patterns=["*"], acting=ACTING)
    with pytest.raises(NotFound):
        granting.withdraw(key.key_id, organization=globex, patterns=["gpt-4.1"], acting=ACTING)
    assert queries.grants_of(key) == ["openai/gpt-4.1"]
