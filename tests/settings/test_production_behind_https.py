"""In production people come through an ingress that ends TLS: their forms are taken from the allowed origins alone, and
what signs them in never leaves them over plain http."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker

from apps.identity.people import create_person
from tests import databases
from tests.identity.signing_in import EMAIL, PASSWORD
from tests.roles.commands import eventually, get, port_in, role
from tests.settings.test_production_requires_its_secrets import GIVEN

# The second leads to the same pages under the host of the first, as behind an ingress that writes its own.
ORIGIN, OTHER_ORIGIN = "https://spendra.example.com", "https://spend.example.org"


@dataclass
class Visitor:
    """Somebody's browser, as its requests come out of the ingress."""

    port: int

    def ask(self, method: str, *, data: dict[str, str] | None = None, **head: str) -> httpx.Response:
        through = {"host": "spendra.example.com", "x-forwarded-proto": "https"}
        url = f"http://127.0.0.1:{self.port}/admin/login/"
        return httpx.request(method, url, data=data, headers=through | head, timeout=30)

    def sign_in(self, **head: str) -> httpx.Response:
        page = self.ask("GET")
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[:1]
        form = {"username": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        return self.ask("POST", data=form, cookie=f"csrftoken={page.cookies['csrftoken']}", **head)


@pytest.fixture(scope="module")
def visitor(
    database_copies: databases.Copies, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    database, folder = database_copies.take(), tmp_path_factory.mktemp("production")
    # As production stores passwords: the tests' own way is quicker, and production does not know it.
    hashers = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    with django_db_blocker.unblock(), databases.as_default(database), override_settings(PASSWORD_HASHERS=hashers):
        create_person(email=EMAIL, password=PASSWORD, is_staff=True, is_superuser=True, acting="command:test")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in GIVEN.items():
            environment.setenv(name, value)
        environment.setenv("SPENDRA_ENV", "production")
        environment.setenv("SPENDRA_ALLOWED_ORIGINS", f"{ORIGIN},{OTHER_ORIGIN}")
        with role(folder, database.url, "dashboard", "--port", "0", "--metrics-port", "0") as dashboard:
            port = port_in(dashboard.wait_for_error_line("dashboard on "))
            eventually(lambda: get(port, "/health")[0] == 200)
            yield Visitor(port)
    database_copies.give_back(database)


@pytest.mark.parametrize("origin", [ORIGIN, OTHER_ORIGIN])
def test_a_form_of_an_allowed_origin_is_taken(visitor: Visitor, origin: str) -> None:
    answer = visitor.sign_in(origin=origin)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")


@pytest.mark.parametrize("origin", ["https://elsewhere.example.com", "http://spendra.example.com", "null"])
def test_a_form_of_another_origin_is_refused(visitor: Visitor, origin: str) -> None:
    answer = visitor.sign_in(origin=origin)
    assert answer.status_code == 403
    assert "sessionid" not in answer.cookies


def test_a_form_that_names_no_origin_must_name_the_page_it_came_from(visitor: Visitor) -> None:
    """As Django asks of what came by https, which only the ingress knows."""
    assert visitor.sign_in().status_code == 403
    assert visitor.sign_in(referer="https://elsewhere.example.com/admin/login/").status_code == 403
    assert visitor.sign_in(referer=f"{ORIGIN}/admin/login/").status_code == 302


def test_what_signs_somebody_in_is_sent_over_https_only(visitor: Visitor) -> None:
    kept = visitor.sign_in(origin=ORIGIN).headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in kept} == {"csrftoken", "sessionid"}
    assert all("Secure" in cookie.split("; ") for cookie in kept)
    (session,) = [cookie for cookie in kept if cookie.startswith("sessionid=")]
    assert "HttpOnly" in session.split("; ")
