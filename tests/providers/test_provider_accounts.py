import pytest

from apps.audit.models import AuditRecord
from apps.orgs.models import Organization
from apps.providers import accounts
from apps.providers.models import ProviderAccount
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization


def make_account(organization: Organization) -> ProviderAccount:
    return accounts.create_account(
        organization=organization, provider="openai", credential_reference="env:ACME_KEY", acting=ACTING
    )


def test_a_new_organization_begins_with_an_account_at_openai(database: Database) -> None:
    acme = make_organization()
    assert [account.provider for account in accounts.create_default_accounts(acme, acting=ACTING)] == ["openai"]
    assert accounts.create_default_accounts(acme, acting=ACTING) == []
    account = ProviderAccount.objects.get()
    assert (account.base_url, account.credential_reference) == ("", "env:OPENAI_API_KEY")


def test_an_organization_has_one_account_at_a_provider(database: Database) -> None:
    acme = make_organization()
    first = make_account(acme)
    with pytest.raises(Conflict, match="has an account at openai already"):
        make_account(acme)
    make_account(make_organization("globex"))
    accounts.archive_account(first.id, organization=acme, acting=ACTING)
    make_account(acme)


def test_an_account_is_pointed_elsewhere_and_audited(database: Database) -> None:
    acme = make_organization()
    account = make_account(acme)
    for _ in range(2):
        accounts.change_account(
            account.id,
            organization=acme,
            base_url="https://eu.api.openai.com/v1/",
            credential_reference="file:/run/secrets/openai",
            acting=ACTING,
        )
    account.refresh_from_db()
    assert (account.base_url, account.credential_reference) == (
        "https://eu.api.openai.com/v1",
        "file:/run/secrets/openai",
    )
    record = AuditRecord.objects.get(action="providers.change_account")
    assert record.before is not None
    assert record.before["credential_reference"] == "env:ACME_KEY"


def test_an_archived_account_stays_as_it_is(database: Database) -> None:
    acme = make_organization()
    account = make_account(acme)
    first, second = (accounts.archive_account(account.id, organization=acme, acting=ACTING) for _ in range(2))
    assert first.archived_at == second.archived_at is not None
    with pytest.raises(Invalid, match="is archived"):
        accounts.change_account(
            account.id, organization=acme, base_url="", credential_reference="env:OTHER", acting=ACTING
        )


def test_what_cannot_be_is_refused(database: Database) -> None:
    acme = make_organization()
    for field, value in (
        ("provider", "Open AI"),
        ("base_url", "ftp://api.openai.com"),
        ("credential_reference", "sk-very-secret"),
    ):
        wanted = {"provider": "openai", "credential_reference": "env:ACME_KEY", field: value}
        with pytest.raises(Invalid) as refusal:
            accounts.create_account(organization=acme, acting=ACTING, **wanted)
        assert refusal.value.param == field
    assert not ProviderAccount.objects.exists()


def test_another_organizations_account_is_not_found(database: Database) -> None:
    account = make_account(make_organization())
    globex = make_organization("globex")
    with pytest.raises(NotFound):
        accounts.change_account(
            account.id, organization=globex, base_url="", credential_reference="env:OTHER", acting=ACTING
        )
    with pytest.raises(NotFound):
        accounts.archive_account(account.id, organization=globex, acting=ACTING)
