import html

from apps.providers.models import ProviderAccount
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.orgs.building import make_organization

ACCOUNTS = "/admin/providers/provideraccount/"


def test_an_account_is_added_changed_and_archived(database: Database) -> None:
    acme = make_organization()
    browser = signed_in()
    assert 'value="env:OPENAI_API_KEY"' in browser.get(f"{ACCOUNTS}add/").content.decode()
    fields = {"organization": acme.id, "provider": "openai", "base_url": "", "credential_reference": "env:ACME_KEY"}
    browser.post(f"{ACCOUNTS}add/", fields)
    account = ProviderAccount.objects.get()
    page = f"{ACCOUNTS}{account.id}/"
    assert "the provider&#x27;s own" in browser.get(f"{page}change/").content.decode()
    change = {"base_url": "https://eu.api.openai.com/v1", "credential_reference": "file:/run/secrets/openai"}
    browser.post(f"{page}act/change/", change)
    account.refresh_from_db()
    assert (account.base_url, account.credential_reference) == tuple(change.values())
    browser.post(f"{page}act/archive/", {"reason": "moved"})
    account.refresh_from_db()
    assert account.archived_at is not None


def test_a_secret_typed_for_a_reference_is_refused(database: Database) -> None:
    acme = make_organization()
    fields = {"organization": acme.id, "provider": "openai", "credential_reference": "sk-secret"}
    answer = signed_in().post(f"{ACCOUNTS}add/", fields)
    assert "write env:NAME, or file:/absolute/path" in html.unescape(answer.content.decode())
    assert not ProviderAccount.objects.exists()
