import html

from django.test import Client

from apps.identity.models import Person
from tests.databases import Database
from tests.identity.signing_in import signed_in

PEOPLE = "/admin/identity/person/"
PASSWORD, ANOTHER = "a long enough one", "another long enough one"


def test_a_person_is_added_and_signs_in_until_the_password_changes(database: Database) -> None:
    operator = signed_in()
    fields = {"email": "bo@example.com", "name": "Bo", "password": PASSWORD, "password_again": PASSWORD}
    operator.post(f"{PEOPLE}add/", {**fields, "is_staff": "on"})
    bo, browser = Person.objects.get(email="bo@example.com"), Client()
    assert (bo.name, bo.is_staff, bo.is_superuser) == ("Bo", True, False)
    answer = browser.post("/admin/login/?next=/admin/", {"username": "bo@example.com", "password": PASSWORD})
    assert answer.status_code == 302
    assert browser.get("/admin/").status_code == 200

    answer = operator.post(f"{PEOPLE}{bo.id}/act/password/", {"password": ANOTHER, "password_again": ANOTHER})
    assert answer.status_code == 302
    assert browser.get("/admin/").status_code == 302
    assert browser.login(username="bo@example.com", password=ANOTHER)


def test_passwords_that_differ_or_are_weak_are_refused_and_not_repeated(database: Database) -> None:
    operator = signed_in()
    for password, again, sentence in (
        (PASSWORD, ANOTHER, "The two passwords differ."),
        ("short", "short", "This password is too short."),
    ):
        fields = {"email": "bo@example.com", "password": password, "password_again": again}
        answer = operator.post(f"{PEOPLE}add/", fields)
        assert sentence in html.unescape(answer.content.decode())
        assert password not in answer.content.decode().replace("too short", "")
    assert Person.objects.count() == 1


def test_no_page_shows_a_password_hash(database: Database) -> None:
    operator = signed_in()
    person = Person.objects.get()
    for url in (PEOPLE, f"{PEOPLE}{person.id}/change/", f"{PEOPLE}{person.id}/act/change/"):
        assert person.password not in operator.get(url).content.decode()
