"""The demo from its first line to its last."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import dj_database_url
from django.core.management import call_command
from django.db import OperationalError, connections

from spendra.development import demo_data
from spendra.development.demo import addresses, environment, signals
from spendra.development.demo.errors import DemoError
from spendra.development.demo.folder import DemoFolder
from spendra.development.demo.roles import Roles
from spendra.development.demo.running import Running
from spendra.development.demo.screen import Screen, shortened
from spendra.development.demo.signals import Interrupted
from spendra.development.embedded_postgres import EmbeddedPostgres
from spendra.settings import environment as given


@dataclass(frozen=True)
class Options:
    is_once: bool
    gateway_port: int | None
    dashboard_port: int | None


def run(folder: DemoFolder, options: Options, screen: Screen) -> None:
    """Starts all of Spendra, proves it by two requests, and serves until Ctrl-C or SIGTERM; with `is_once` ends then.

    Whatever was started has ended when this returns or raises. DemoError where something did not work; Interrupted
    where the signal came before all of it worked.
    """
    if importlib.util.find_spec("openai") is None:
        raise DemoError("The demo needs the official OpenAI client: install requirements-dev.txt.")
    with folder.claimed(), signals.interruptible():
        chosen = addresses.choose(
            gateway_port=options.gateway_port, dashboard_port=options.dashboard_port, is_once=options.is_once
        )
        provider = environment.choose_provider(chosen)
        screen.say(f"Spendra demo in {shortened(folder.path)}")
        with _database(folder, screen) as database_url:
            data = _prepare(screen)
            variables = environment.compose(folder, database_url=database_url, provider=provider, addresses=chosen)
            folder.write_environment(variables)
            _serve(folder, Running(chosen, provider, data, variables), screen, is_once=options.is_once)


def _serve(folder: DemoFolder, running: Running, screen: Screen, *, is_once: bool) -> None:
    roles = Roles(folder, running)
    try:
        with screen.step("Starting gateway, dashboard and worker"):
            roles.start()
        _prove(running, screen)
        connections.close_all()
        if is_once:
            folder.write_description(running.described())
        else:
            screen.show_places(running, folder.path)
            with suppress(Interrupted):
                folder.write_description(running.described())
                roles.watch()
            screen.say("\nEnding: running requests finish, what was spent is settled.")
    finally:
        signals.ignore()
        roles.stop()


@contextmanager
def _database(folder: DemoFolder, screen: Screen) -> Iterator[str]:
    if url := given.read("DATABASE_URL"):
        yield url
        return
    postgres = EmbeddedPostgres(folder.postgres)
    try:
        with screen.step("Starting Postgres 16" if folder.postgres.exists() else "Creating a Postgres 16"):
            url = postgres.start()
        _use_database(url)
        yield url
    finally:
        connections.close_all()
        postgres.stop()


def _use_database(url: str) -> None:
    """This process has read its settings before the database had an address."""
    connections["default"].settings_dict.update(dj_database_url.parse(url))


def _prepare(screen: Screen) -> demo_data.DemoData:
    try:
        with screen.step("Migrating it, and loading the catalog of prices"):
            call_command("migrate", verbosity=0, interactive=False)
        with screen.step("Making the demo company, Acme"):
            return demo_data.seed(acting="command:demo")
    except OperationalError as error:
        raise DemoError(f"The database does not answer: {str(error).strip()}") from error


def _prove(running: Running, screen: Screen) -> None:
    # Imported now: the OpenAI client takes a second that nobody should wait for before the first line.
    from spendra.development.demo import proof, requests

    sandbox_url = running.addresses.sandbox if running.provider.is_sandbox else None
    with screen.step("Sending a plain and a streamed request with the official OpenAI client"):
        answers = requests.send_both(running.addresses.gateway, running.data.key)
        proofs = [proof.prove(answered, sandbox_url=sandbox_url) for answered in answers]
    for found in proofs:
        screen.show_proof(found)
    witness = " and at what the provider counted" if sandbox_url else ""
    screen.say(f"\nBoth were answered, reserved for, and settled at the exact catalog price{witness}.")
