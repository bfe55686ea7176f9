"""Whatever the database keeps for us can be looked at in the admin, or there is a reason why not."""

from django.contrib import admin
from django.db.models import CompositePrimaryKey

from apps.ledger import models as ledger
from tests.databases import Database

COMPOSITE = (ledger.HourRollup, ledger.DayRollup, ledger.KeyRollup, ledger.PeriodRollup, ledger.LocalDay)
WITHOUT_A_LIST = {
    "Django's admin takes no key of several columns; spend_list shows the sums": {
        model._meta.db_table for model in COMPOSITE
    },
    "on the page of the version that it belongs to": {"catalog_price", "policies_shadowcount"},
    "nobody's rights come from groups or single permissions": {
        "identity_person_groups",
        "identity_person_user_permissions",
    },
    "empty but inside a commit": {"audit_unlinked"},
    "which alerts were told, so that none is twice; each is an outbox message": {"budgets_crossing"},
    "how far ledger_verify and retention_apply got, and what they add to the entries that are kept": {
        "budgets_verifiedposition",
        "budgets_verifiedsum",
        "budgets_archivingposition",
        "budgets_archivingsum",
        "budgets_periodarchive",
        "ledger_archivedmonth",
    },
}
OURS = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname !~ '^(django|auth)_'
"""


def test_each_table_of_ours_has_a_list_or_a_reason(database: Database) -> None:
    tables = {name for (name,) in database.connect().execute(OURS)}
    listed = {model._meta.db_table for model in admin.site._registry}
    assert tables - listed == set().union(*WITHOUT_A_LIST.values())


def test_those_with_composite_keys_have_them_still() -> None:
    assert all(isinstance(model._meta.pk, CompositePrimaryKey) for model in COMPOSITE)
