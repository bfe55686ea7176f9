from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.audit.models import AuditRecord
from apps.keys.models import Key
from apps.keys.revoking import revoke
from spendra.kernel.errors import NotFound
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization


def test_a_key_is_revoked_once_whoever_asks_how_often(database: Database) -> None:
    key = make_key(make_organization()).record

    def revoke_in_own_transaction(_: int) -> object:
        try:
            return revoke(key.key_id, acting=ACTING, reason="leaked").revoked_at
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        instants = set(threads.map(revoke_in_own_transaction, range(8)))
    assert instants == {Key.objects.get().revoked_at}
    assert None not in instants
    assert AuditRecord.objects.get(action="keys.revoke").reason == "leaked"


def test_a_key_that_is_not_there_or_another_organizations_is_not_found(database: Database) -> None:
    key = make_key(make_organization()).record
    globex = make_organization("globex")
    for key_id in ("", "nobody", "a\0", "\ud800"):
        with pytest.raises(NotFound):
            revoke(key_id, acting=ACTING)
    with pytest.raises(NotFound):
        revoke(key.key_id, organization=globex, acting=ACTING)
    assert Key.objects.get().revoked_at is None
