"""A browser in which an operator of Spendra is signed in to the admin pages."""

from django.test import Client

from apps.identity.people import create_person

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


def signed_in(email: str = EMAIL, *, is_staff: bool = True, is_superuser: bool = True) -> Client:
    create_person(email=email, password=PASSWORD, is_staff=is_staff, is_superuser=is_superuser, acting="command:test")
    browser = Client()
    assert browser.login(username=email, password=PASSWORD)
    return browser
