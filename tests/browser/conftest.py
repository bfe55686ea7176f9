"""Debian's Chromium before a real dashboard, a real gateway and a sandbox provider, over the demo's data."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from spendra.development.embedded_postgres.ports import free_port
from spendra.development.sandbox_provider.serving import sandbox_process
from tests import databases
from tests.browser.operating import CHROMIUM, CHROMIUM_ARGUMENTS, Company, Operator, wait_until_up
from tests.databases import ROOT, Database
from tests.gateway.running import RunningGateway


@pytest.fixture(scope="session")
def company(
    database_copies: databases.Copies, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Company]:
    """Acme as `seed_demo` makes it, with a sandbox provider, a gateway and a dashboard that serve it."""
    folder = tmp_path_factory.mktemp("browser")
    database = database_copies.take()
    with ExitStack() as stack:
        seeded = _seed(database)
        stack.callback(database_copies.give_back, database)
        sandbox = stack.enter_context(sandbox_process())
        gateway = stack.enter_context(RunningGateway(database.url, sandbox, folder / "gateway.log"))
        url = stack.enter_context(_dashboard(database, folder / "dashboard.log"))
        yield Company(database, url, gateway.url, seeded["key"], seeded["sign_in"])


@pytest.fixture
def acme(company: Company, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    # Playwright runs its event loop in this thread, which Django takes for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with django_db_blocker.unblock(), databases.as_default(company.database):
        yield company


# Not for the session: while Playwright runs, its event loop does, and Django refuses its ORM to the tests that follow.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_browser(acme: Company, chromium: Browser) -> Iterator[Callable[..., Operator]]:
    """Browsers of people who are not signed in yet; no page of theirs may have gone wrong unseen."""
    opened: list[Operator] = []

    def open_one(**options: object) -> Operator:
        opened.append(Operator(chromium, acme, **options))
        return opened[-1]

    yield open_one
    for operator in opened:
        operator.close()
    assert [wrong for operator in opened for wrong in operator.went_wrong] == []


@pytest.fixture
def operator(open_browser: Callable[..., Operator]) -> Operator:
    operator = open_browser()
    operator.sign_in()
    return operator


def _seed(database: Database) -> dict:
    command = [sys.executable, "manage.py", "seed_demo", "--allow-demo-data", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=_environment(database), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


class _dashboard:
    def __init__(self, database: Database, log: Path) -> None:
        self.environment, self.log, self.port = _environment(database), log, free_port()

    def __enter__(self) -> str:
        command = [sys.executable, "manage.py", "dashboard", "--port", str(self.port), "--metrics-port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{self.port}"
        wait_until_up(url, self.process, self.log)
        return url

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def _environment(database: Database) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPENDRA_", "DJANGO_"))}
    return {**kept, "DATABASE_URL": database.url}
