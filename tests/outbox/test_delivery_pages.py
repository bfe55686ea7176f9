"""The operator's pages of failed deliveries."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.audit.models import AuditRecord
from apps.identity import people
from apps.outbox.models import Delivery
from spendra.kernel.ids import uuid7
from tests.databases import Database

ANN = "ann@example.com"
URL = "/admin/outbox/delivery/"
NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def browser(database: Database) -> Client:
    password = "correct horse battery"
    people.create_person(email=ANN, password=password, acting="test", is_staff=True, is_superuser=True)
    browser = Client()
    assert browser.login(username=ANN, password=password)
    return browser


def failed(consumer: str, **fields: object) -> Delivery:
    return Delivery.objects.create(
        consumer=consumer, message_id=uuid7(), topic="test.happened", payload={"said": "word"}, created_at=NOW,
        next_attempt_at=NOW, attempts=12, last_error="ValueError: no", **fields,
    )  # fmt: skip


def test_a_dead_letter_is_shown_and_replayed(browser: Client) -> None:
    dead = failed("ann", dead_at=NOW)
    page = browser.get(f"{URL}{dead.pk}/change/").content.decode()
    assert "ValueError: no" in page
    assert "&quot;said&quot;: &quot;word&quot;" in page
    assert "Deliver again" in page
    browser.post(f"{URL}{dead.pk}/act/replay/", {"reason": "mended"})
    dead.refresh_from_db()
    assert (dead.dead_at, dead.attempts) == (None, 0)
    [record] = AuditRecord.objects.filter(action="outbox.replay")
    assert (record.actor, record.object_id, record.reason) == (ANN, "ann", "mended")


def test_a_dead_letter_is_given_up_with_a_reason(browser: Client) -> None:
    dead, other = failed("ann", dead_at=NOW), failed("ann", dead_at=NOW)
    assert "Give up" in browser.get(f"{URL}{dead.pk}/change/").content.decode()
    assert "This field is required" in browser.post(f"{URL}{dead.pk}/act/discard/", {"reason": ""}).content.decode()
    page = browser.post(f"{URL}{dead.pk}/act/discard/", {"reason": "of a test"}, follow=True).content.decode()
    assert "The message is given up." in page
    assert [row.pk for row in Delivery.objects.all()] == [other.pk]
    [record] = AuditRecord.objects.filter(action="outbox.discard")
    assert (record.actor, record.object_id, record.reason) == (ANN, "ann", "of a test")


def test_one_that_will_be_tried_again_is_not_offered(browser: Client) -> None:
    waiting = failed("ann")
    assert "Give up" not in browser.get(f"{URL}{waiting.pk}/change/").content.decode()
    assert "Deliver again" not in browser.get(f"{URL}{waiting.pk}/change/").content.decode()
    refused = browser.post(f"{URL}{waiting.pk}/act/replay/", {"reason": ""})
    assert "is no dead letter of ann" in refused.content.decode()


def test_dead_letters_are_told_from_those_that_wait(browser: Client) -> None:
    failed("waits")
    failed("is-dead", dead_at=NOW)
    for state, shown, hidden in (("dead", "is-dead", "waits"), ("waiting", "waits", "is-dead")):
        page = browser.get(f"{URL}?state={state}").content.decode()
        assert shown in page
        assert hidden not in page
