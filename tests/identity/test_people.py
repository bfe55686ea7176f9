import pytest

from apps.audit.models import AuditRecord
from apps.identity import people
from apps.identity.models import Person
from spendra.kernel.errors import Conflict, Invalid
from tests.databases import Database
from tests.identity.signing_in import EMAIL, PASSWORD, signed_in

ACTING = "command:test"


def test_a_person_is_created_once_whatever_the_case_of_the_address(database: Database) -> None:
    person = people.create_person(email=" Bo@Example.com ", password=PASSWORD, acting=ACTING)
    assert person.email == "bo@example.com"
    assert person.check_password(PASSWORD)
    with pytest.raises(Conflict):
        people.create_person(email="BO@example.com", password=PASSWORD, acting=ACTING)
    stored = str(AuditRecord.objects.get(object_kind="person").after)
    assert PASSWORD not in stored
    assert person.password not in stored


def test_an_address_or_password_that_cannot_be_is_refused(database: Database) -> None:
    for email, password, param in (("bo", PASSWORD, "email"), ("b@e.com", "short", "password")):
        with pytest.raises(Invalid) as refusal:
            people.create_person(email=email, password=password, acting=ACTING)
        assert refusal.value.param == param


def test_a_new_password_ends_every_session(database: Database) -> None:
    browser = signed_in()
    assert browser.get("/admin/").status_code == 200
    people.set_password(Person.objects.get(email=EMAIL), password="another long password", acting=ACTING)
    assert browser.get("/admin/").status_code == 302
    with pytest.raises(Invalid):
        people.set_password(Person.objects.get(email=EMAIL), password="short", acting=ACTING)


def test_somebody_can_always_administer(database: Database) -> None:
    browser = signed_in()
    ada = Person.objects.get(email=EMAIL)
    with pytest.raises(Invalid, match="Nobody could administer"):
        people.change_person(ada, name="", is_active=False, is_staff=True, is_superuser=True, acting=ACTING)
    people.create_person(email="b@e.com", password=PASSWORD, is_staff=True, is_superuser=True, acting=ACTING)
    people.change_person(ada, name="", is_active=False, is_staff=True, is_superuser=True, acting=ACTING)
    assert browser.get("/admin/").status_code == 302
