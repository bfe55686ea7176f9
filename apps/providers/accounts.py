import re
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.audit.recording import AuditTrail
from apps.orgs.models import Organization
from apps.providers import credentials
from apps.providers.addresses import check_base_url
from apps.providers.models import ProviderAccount
from spendra.kernel import clock
from spendra.kernel.errors import Conflict, Invalid, NotFound

# What a fresh organization can reach: the providers whose credential every installation has.
_DEFAULT_CREDENTIALS = {"openai": "env:OPENAI_API_KEY"}
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TRAIL = AuditTrail(room="providers", kind="provider_account", fields=("provider", "base_url", "credential_reference"))


@transaction.atomic
def create_account(
    *, organization: Organization, provider: str, credential_reference: str, acting: str, base_url: str = ""
) -> ProviderAccount:
    """Gives an organization its one account at a provider; an empty base URL is the provider's own.

    Invalid for a reference or URL that cannot be, Conflict where it has an account there that is not archived.
    """
    if not _PROVIDER.fullmatch(provider):
        raise Invalid(f"{provider!r} is no provider: write it like openai.", param="provider")
    account = ProviderAccount(
        organization=organization,
        provider=provider,
        base_url=base_url and check_base_url(base_url),
        credential_reference=credentials.check(credential_reference),
    )
    try:
        with transaction.atomic():
            account.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(f"{organization} has an account at {provider} already: change or archive it.",
                       param="provider") from error  # fmt: skip
    _TRAIL.record("create_account", account, after=_TRAIL.state(account), acting=acting)
    return account


@transaction.atomic
def create_default_accounts(organization: Organization, *, acting: str) -> list[ProviderAccount]:
    """The accounts that a new organization begins with, those it has already excepted. Returns the new ones."""
    present = set(
        ProviderAccount.objects.filter(organization=organization, archived_at=None).values_list("provider", flat=True)
    )
    return [
        create_account(organization=organization, provider=provider, credential_reference=reference, acting=acting)
        for provider, reference in _DEFAULT_CREDENTIALS.items()
        if provider not in present
    ]


@transaction.atomic
def change_account(
    account_id: UUID, *, organization: Organization, base_url: str, credential_reference: str, acting: str,
    reason: str = "",
) -> ProviderAccount:  # fmt: skip
    """Points an account elsewhere, from the next request on.

    NotFound for another organization's account; Invalid for an archived one, and for a reference or URL that cannot
    be. Locks the account's row.
    """
    account = _locked(account_id, organization)
    if account.archived_at is not None:
        raise Invalid(f"This account at {account.provider} is archived: create a new one.")
    before = _TRAIL.state(account)
    account.base_url = base_url and check_base_url(base_url)
    account.credential_reference = credentials.check(credential_reference)
    if _TRAIL.state(account) != before:
        account.save(update_fields=["base_url", "credential_reference"])
        _TRAIL.record_change("change_account", account, before=before, acting=acting, reason=reason)
    return account


@transaction.atomic
def archive_account(account_id: UUID, *, organization: Organization, acting: str, reason: str = "") -> ProviderAccount:
    """Ends an account: the organization reaches that provider no more, from the next request on. Idempotent.

    NotFound for another organization's account. Locks the account's row.
    """
    account = _locked(account_id, organization)
    if account.archived_at is None:
        account.archived_at = clock.now()
        account.save(update_fields=["archived_at"])
        _TRAIL.record(
            "archive_account", account, after={"archived_at": account.archived_at}, acting=acting, reason=reason
        )
    return account


def _locked(account_id: UUID, organization: Organization) -> ProviderAccount:
    accounts = ProviderAccount.objects.select_for_update(no_key=True).filter(organization=organization)
    account = accounts.filter(id=account_id).first()
    if account is None:
        raise NotFound(f"There is no provider account {account_id} in {organization}.")
    return account
