"""A key works everywhere from the moment it is issued until the moment it is ended: each a hundred times in a row."""

import time
from datetime import datetime

from django.db import connection

from apps.keys.changing import change_limits, reassign
from apps.keys.granting import grant, withdraw
from apps.keys.issuing import IssuedKey
from apps.keys.models import Key
from apps.keys.revoking import revoke
from apps.orgs.units import archive, create_unit, restore
from spendra.kernel.clock import database_now
from tests.freshness.doors import Doors
from tests.gateway.company import Company


def test_a_key_just_issued_works_and_a_key_just_revoked_does_not(company: Company, doors: Doors, rounds: int) -> None:
    for _ in range(rounds):
        issued = company.another_key()
        doors.expect(200, issued.key)
        revoke(issued.record.key_id, acting="test")
        doors.expect(401, issued.key)
    doors.check(asked=2 * rounds)


def test_a_key_of_an_actor_just_created_works(company: Company, doors: Doors, rounds: int) -> None:
    for number in range(rounds):
        actor = create_unit(organization=company.organization, kind="agent", name=f"Agent {number}", acting="test")
        doors.expect(200, company.another_key(actor=actor).key)
    doors.check(asked=rounds)


def test_what_a_key_may_reserve_binds_as_it_is_changed(company: Company, doors: Doors, rounds: int) -> None:
    for _ in range(rounds):
        change_limits(company.issued.record.key_id, max_reservation_nanos=1, acting="test")
        doors.expect(403, company.key)
        change_limits(company.issued.record.key_id, max_reservation_nanos=None, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_cap_of_a_project_binds_a_key_as_it_is_put_there_and_taken_away(
    company: Company, doors: Doors, rounds: int
) -> None:
    project = create_unit(organization=company.organization, kind="project", name="Atlas", acting="test")
    company.cap(0, unit=project)
    for _ in range(rounds):
        reassign(company.issued.record.key_id, project=project, acting="test")
        doors.expect(402, company.key)
        reassign(company.issued.record.key_id, project=None, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_key_whose_expiry_is_moved_into_the_past_is_refused_and_back(
    company: Company, doors: Doors, rounds: int
) -> None:
    for _ in range(rounds):
        set_expiry("clock_timestamp()", [company.issued])
        doors.expect(401, company.key)
        set_expiry("NULL", [company.issued])
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_key_expires_by_time_alone(company: Company, doors: Doors, rounds: int) -> None:
    keys = [company.another_key() for _ in range(rounds)]
    started = time.monotonic()
    for issued in keys:
        doors.expect(200, issued.key)
    # Twice as long as asking all of them took: every process then holds this very expiry when it comes.
    set_expiry(f"clock_timestamp() + interval '{2 * (time.monotonic() - started) + 1} s'", keys)
    expires_at = Key.objects.get(id=keys[0].record.id).expires_at
    for issued in keys:
        doors.expect(200, issued.key)
    assert expires_at is not None
    wait_until(expires_at)
    for issued in keys:
        doors.expect(401, issued.key)
    doors.check(asked=3 * rounds)


def test_a_grant_taken_away_is_refused_and_one_given_works(company: Company, doors: Doors, rounds: int) -> None:
    key_id = company.issued.record.key_id
    for _ in range(rounds):
        withdraw(key_id, patterns=["openai/*"], acting="test")
        doors.expect(403, company.key)
        grant(key_id, patterns=["openai/gpt-4.1-mini"], acting="test")
        doors.expect(200, company.key)
        withdraw(key_id, patterns=["openai/gpt-4.1-mini"], acting="test")
        grant(key_id, patterns=["openai/*"], acting="test")
    doors.check(asked=2 * rounds)


def test_keys_of_an_archived_actor_are_refused_until_it_is_restored(
    company: Company, doors: Doors, rounds: int
) -> None:
    for _ in range(rounds):
        archive(company.actor, organization=company.organization, acting="test")
        doors.expect(401, company.key)
        restore(company.actor, organization=company.organization, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_keys_of_an_archived_project_are_refused_until_it_is_restored(
    company: Company, doors: Doors, rounds: int
) -> None:
    project = create_unit(organization=company.organization, kind="project", name="Apollo", acting="test")
    key = company.another_key(project=project).key
    for _ in range(rounds):
        archive(project, organization=company.organization, acting="test")
        doors.expect(401, key)
        restore(project, organization=company.organization, acting="test")
        doors.expect(200, key)
    doors.check(asked=2 * rounds)


def test_the_most_that_a_key_may_reserve_binds_when_lowered_and_when_raised(
    company: Company, doors: Doors, rounds: int
) -> None:
    for _ in range(rounds):
        Key.objects.filter(id=company.issued.record.id).update(max_reservation_nanos=1)
        doors.expect(403, company.key)
        Key.objects.filter(id=company.issued.record.id).update(max_reservation_nanos=None)
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_the_list_of_models_is_that_of_the_key_as_it_is_now(company: Company, doors: Doors, rounds: int) -> None:
    key_id = company.issued.record.key_id
    for number in range(rounds):
        before, after = ("*", "gpt-4o") if number % 2 else ("gpt-4o", "*")
        withdraw(key_id, patterns=["openai/*" if number == 0 else f"openai/{before}"], acting="test")
        grant(key_id, patterns=[f"openai/{after}"], acting="test")
        listed = [
            [model["id"] for model in answer.json()["data"]]
            for answer in doors.expect(200, company.key, path="/v1/models")
        ]
        assert all((models == ["gpt-4o"]) == (after == "gpt-4o") for models in listed), f"round {number}: {listed}"
    revoke(key_id, acting="test")
    doors.expect(401, company.key, path="/v1/models")
    doors.check(asked=rounds + 1)


def set_expiry(instant: str, keys: list[IssuedKey]) -> None:
    with connection.cursor() as cursor:
        ids = [issued.record.id for issued in keys]
        cursor.execute(f"UPDATE keys_key SET expires_at = {instant} WHERE id = ANY (%s)", [ids])


def wait_until(instant: datetime) -> None:
    while (left := (instant - database_now()).total_seconds()) > 0:
        time.sleep(left)
