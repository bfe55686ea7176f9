from apps.keys.models import Key
from apps.orgs.models import Organization
from spendra.kernel.errors import NotFound


def find_key(key_id: str, *, organization: Organization | None = None) -> Key:
    """NotFound where there is none, or where it is not the organization's (None: whichever it is)."""
    return _find(key_id, organization, is_locked=False)


def lock_key(key_id: str, *, organization: Organization | None = None) -> Key:
    """The same, held until the transaction ends; its foreign keys stay usable to others."""
    return _find(key_id, organization, is_locked=True)


def grants_of(key: Key) -> list[str]:
    return list(key.grants.order_by("pattern").values_list("pattern", flat=True))


def _find(key_id: str, organization: Organization | None, *, is_locked: bool) -> Key:
    keys = Key.objects.filter(key_id=key_id) if key_id.isprintable() else Key.objects.none()
    if organization is not None:
        keys = keys.filter(organization=organization)
    key = keys.select_for_update(no_key=True).first() if is_locked else keys.first()
    if key is None:
        raise NotFound(f"There is no key {key_id!r}{f' in {organization}' if organization else ''}.")
    return key
