from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from apps.audit.recording import AuditTrail
from apps.identity.models import Person
from spendra.kernel.errors import Conflict, Invalid

_TRAIL = AuditTrail(
    room="identity",
    kind="person",
    organization_field=None,
    fields=("email", "name", "is_active", "is_staff", "is_superuser"),
)


@transaction.atomic
def create_person(
    *, email: str, password: str, acting: str, name: str = "", is_staff: bool = False, is_superuser: bool = False
) -> Person:
    """A local account, which signs in with this password. Its e-mail address is kept in lower case.

    Invalid for an address or password that cannot be, Conflict where somebody has that address.
    """
    email = _email(email)
    person = Person(email=email, name=name.strip(), is_staff=is_staff, is_superuser=is_superuser)
    _check_password(password, person)
    person.set_password(password)
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(f"Somebody with the address {email} exists already.", param="email") from error
    _TRAIL.record("create_person", person, after=_TRAIL.state(person), acting=acting)
    return person


@transaction.atomic
def change_person(
    person: Person, *, name: str, is_active: bool, is_staff: bool, is_superuser: bool, acting: str, reason: str = ""
) -> Person:
    """Sets who somebody is and may do; one who is not active is signed out at the next click. Locks the row.

    Invalid where this would leave nobody who can administer.
    """
    current = _locked(person)
    before = _TRAIL.state(current)
    current.name, current.is_active = name.strip(), is_active
    current.is_staff, current.is_superuser = is_staff, is_superuser
    if _TRAIL.state(current) == before:
        return current
    current.save(update_fields=["name", "is_active", "is_staff", "is_superuser"])
    if not Person.objects.filter(is_active=True, is_staff=True, is_superuser=True).exists():
        raise Invalid("Nobody could administer Spendra any more: name another superuser first.")
    _TRAIL.record_change("change_person", current, before=before, acting=acting, reason=reason)
    return current


@transaction.atomic
def set_password(person: Person, *, password: str, acting: str) -> None:
    """Replaces the password and with it ends every session of that person. Locks the row. Invalid for a weak one."""
    current = _locked(person)
    _check_password(password, current)
    current.set_password(password)
    current.save(update_fields=["password"])
    _TRAIL.record("set_password", current, acting=acting)


def _email(text: str) -> str:
    email = text.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid(f"{text!r} is no e-mail address.", param="email") from error
    return email


def _check_password(password: str, person: Person) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), param="password") from error


def _locked(person: Person) -> Person:
    return Person.objects.select_for_update(no_key=True).get(id=person.id)
