"""What nobody decides within a week ends by itself, and leaves room for what is asked for now."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection as default

from apps.audit.models import AuditRecord
from apps.orgs.models import Organization
from apps.policies import reviewing
from apps.policies.lapsing import AFTER_DAYS
from apps.policies.models import Approval, Review
from apps.policies.tasks import lapse_reviews
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Conflict
from tests.commands.running import run_json
from tests.concurrency.callers import in_parallel
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization
from tests.policies.asking import ask, asked_review

WEEK = timedelta(days=7)


def old_review(
    database: Database, organization: Organization, *, age: timedelta = WEEK, model: str = "gpt-4.1"
) -> Review:
    key_id = make_key(organization).record.key_id
    review = asked_review(database.connect(), organization, key_id=key_id, model=model)
    Review.objects.filter(id=review.id).update(created_at=database_now() - age)
    return review


def approve(review: Review, organization: Organization) -> Approval:
    until = database_now() + timedelta(days=1)
    return reviewing.approve(review, organization=organization, max_nanos=5, valid_until=until, acting=ACTING)


def test_a_week_after_it_was_asked_for_it_lapses(database: Database) -> None:
    acme = make_organization()
    old, young = old_review(database, acme), old_review(database, acme, age=WEEK - timedelta(minutes=1))
    assert WEEK.days == AFTER_DAYS
    before = database_now()
    assert lapse_reviews() == 1
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.state, young.state) == ("lapsed", "pending")
    assert old.decided_by == ""
    assert before <= old.decided_at <= database_now()
    assert lapse_reviews() == 0


def test_what_was_decided_stays_as_it_was(database: Database) -> None:
    acme = make_organization()
    denied, approved = old_review(database, acme), old_review(database, acme)
    reviewing.deny(denied, organization=acme, acting=ACTING)
    approve(approved, acme)
    assert lapse_reviews() == 0
    assert {review.state for review in Review.objects.all()} == {"denied", "approved"}


def test_the_same_request_then_asks_for_a_new_one(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    old = old_review(database, acme)
    assert ask(connection, acme, key_id=old.key_id) == old.id
    lapse_reviews()
    new = ask(connection, acme, key_id=old.key_id)
    assert new != old.id
    assert ask(connection, acme, key_id=old.key_id) == new


def test_a_key_with_fifty_stale_ones_may_ask_again(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    for number in range(50):
        ask(connection, acme, model=f"model {number}")
    Review.objects.update(created_at=database_now() - WEEK)
    assert ask(connection, acme, model="one too many") is None
    assert lapse_reviews() == 50
    assert ask(connection, acme, model="one too many") is not None


def test_an_approver_who_comes_too_late_is_told_what_to_do(database: Database) -> None:
    acme = make_organization()
    review = old_review(database, acme)
    lapse_reviews()
    sentence = "has lapsed: nobody decided it within 7 days. The same request asks for a new one"
    with pytest.raises(Conflict, match=sentence):
        approve(review, acme)
    with pytest.raises(Conflict, match=sentence):
        reviewing.deny(review, organization=acme, acting=ACTING)
    assert not Approval.objects.exists()
    assert not AuditRecord.objects.filter(object_kind="review").exists()


def test_one_that_an_approver_is_deciding_is_passed_over(database: Database) -> None:
    acme, approver = make_organization(), database.connect(autocommit=False)
    review, other = old_review(database, acme), old_review(database, acme)
    approver.execute("SELECT FROM policies_review WHERE id = %s FOR NO KEY UPDATE", [review.id])
    assert lapse_reviews() == 1
    approver.execute("UPDATE policies_review SET state = 'denied', decided_by = 'her' WHERE id = %s", [review.id])
    approver.commit()
    assert lapse_reviews() == 0
    review.refresh_from_db()
    other.refresh_from_db()
    assert (review.state, other.state) == ("denied", "lapsed")


def test_an_approver_who_waits_for_the_worker_finds_it_lapsed(database: Database) -> None:
    acme, worker = make_organization(), database.connect(autocommit=False)
    review = old_review(database, acme)
    worker.execute("UPDATE policies_review SET state = 'lapsed', decided_at = now() WHERE id = %s", [review.id])

    def decide() -> None:
        try:
            approve(review, acme)
        finally:
            default.close()

    with ThreadPoolExecutor(1) as approver:
        waiting = approver.submit(decide)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        worker.commit()
        with pytest.raises(Conflict, match="has lapsed"):
            waiting.result(10)
    assert not Approval.objects.exists()


def test_a_gateway_that_waits_for_the_worker_asks_for_a_new_one(database: Database) -> None:
    acme, gateway, worker = make_organization(), database.connect(), database.connect(autocommit=False)
    old = old_review(database, acme)
    worker.execute("UPDATE policies_review SET state = 'lapsed', decided_at = now() WHERE id = %s", [old.id])
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask, gateway, acme, key_id=old.key_id, asked_nanos=2 * old.asked_nanos)
        with pytest.raises(TimeoutError):
            asked.result(0.3)
        worker.commit()
        new = Review.objects.get(id=asked.result(10))
    assert (new.id != old.id, new.state, new.asked_nanos) == (True, "pending", 2 * old.asked_nanos)


def test_of_an_approver_and_two_workers_at_once_exactly_one_has_it(database: Database) -> None:
    acme = make_organization()
    for _ in range(20):
        review = old_review(database, acme)
        refused: list[Conflict] = []

        def decide(review: Review = review, refused: list[Conflict] = refused) -> None:
            try:
                approve(review, acme)
            except Conflict as error:
                refused.append(error)

        _, *lapsed = in_parallel(decide, lapse_reviews, lapse_reviews)
        review.refresh_from_db()
        assert (review.state, len(refused), sum(lapsed)) in (("approved", 0, 0), ("lapsed", 1, 1))
        assert Approval.objects.filter(review=review).exists() == (review.state == "approved")


def test_lists_and_pages_show_it_and_offer_no_decision(database: Database) -> None:
    acme = make_organization()
    review = old_review(database, acme)
    lapse_reviews()
    (told,) = run_json("review_list", "--organization", "acme", "--state", "lapsed")
    assert (told["review_id"], told["state"], told["decided_by"]) == (str(review.id), "lapsed", None)
    assert told["decided_at"] is not None
    refused = run_json("review_decide", "--organization", "acme", str(review.id), "--deny", exit_code=1)
    assert refused["error"]["code"] == "conflict"
    browser, page = signed_in(), f"/admin/policies/review/{review.id}/"
    assert str(review.id) in browser.get("/admin/policies/review/?state=lapsed").content.decode()
    shown = browser.get(f"{page}change/").content.decode()
    assert "Lapsed" in shown
    assert "act/approve/" not in shown
