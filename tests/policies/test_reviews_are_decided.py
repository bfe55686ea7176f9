from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from apps.audit.models import AuditRecord
from apps.keys.revoking import revoke
from apps.orgs.models import Organization
from apps.policies import evaluation, reviewing, stored
from apps.policies.models import Approval, Review
from apps.policies.queries import find_review
from apps.policies.types import ApprovalRule
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization
from tests.policies.asking import asked_review
from tests.policies.building import NOON, make_request

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def pending(database: Database, organization: Organization) -> Review:
    key_id = make_key(organization).record.key_id
    return asked_review(database.connect(), organization, key_id=key_id)


def approve(review: Review, organization: Organization, *, max_nanos: int = 5, until: datetime = TOMORROW) -> Approval:
    return reviewing.approve(
        review, organization=organization, max_nanos=max_nanos, valid_until=until, acting=ACTING, note="go on"
    )


def test_an_approval_is_for_the_key_model_amount_and_time_of_its_review(database: Database) -> None:
    acme = make_organization()
    review = pending(database, acme)
    approval = approve(review, acme, max_nanos=7)
    review.refresh_from_db()
    assert (review.state, review.decided_by, review.note) == ("approved", ACTING, "go on")
    assert (approval.key_id, approval.provider, approval.model) == (review.key_id, "openai", "gpt-4.1")
    assert (approval.max_nanos, approval.valid_until) == (7, TOMORROW)
    record = AuditRecord.objects.get(action="policies.approve")
    assert (record.object_id, record.after["max_nanos"], record.reason) == (str(review.id), "7", "go on")
    query = f"SELECT {stored.APPROVAL_ROW} FROM policies_approval"
    (row,) = database.connect().execute(query).fetchone()
    assert stored.approval_rule(row) == ApprovalRule(
        approval.id, review.key_id, "openai", "gpt-4.1", 7, approval.valid_until
    )


def test_a_review_is_decided_once(database: Database) -> None:
    acme = make_organization()
    denied, approved = pending(database, acme), pending(database, acme)
    reviewing.deny(denied, organization=acme, acting=ACTING, note="no")
    approve(approved, acme)
    for review in (denied, approved):
        with pytest.raises(Conflict, match=r"has (denied|approved) this review already"):
            approve(review, acme)
        with pytest.raises(Conflict):
            reviewing.deny(review, organization=acme, acting=ACTING)
    assert AuditRecord.objects.get(action="policies.deny").reason == "no"


def test_what_cannot_be_approved_is_refused(database: Database) -> None:
    acme = make_organization()
    review = pending(database, acme)
    yesterday, naive = datetime.now(UTC) - timedelta(days=1), datetime(2090, 1, 1)  # noqa: DTZ001
    for sentence, given in (
        ("above 0", {"max_nanos": 0}),
        ("at most 1000000.00 USD", {"max_nanos": 10**15 + 1}),
        ("ended already", {"until": yesterday}),
        ("needs a time zone", {"until": naive}),
    ):
        with pytest.raises(Invalid, match=sentence):
            approve(review, acme, **given)
    with pytest.raises(Invalid, match="500 characters"):
        reviewing.deny(review, organization=acme, acting=ACTING, note="x" * 501)
    revoke(review.key_id, acting=ACTING)
    with pytest.raises(Invalid, match="is revoked"):
        approve(review, acme)
    assert not Approval.objects.exists()


def test_another_organization_gets_not_found(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    review = pending(database, acme)
    with pytest.raises(NotFound):
        approve(review, globex)
    with pytest.raises(NotFound):
        reviewing.deny(review, organization=globex, acting=ACTING)
    for wanted in (str(review.id), "no id"):
        with pytest.raises(NotFound):
            find_review(globex, wanted)
    assert find_review(acme, str(review.id)) == review


def test_a_gateway_takes_the_narrowest_approval_that_fits() -> None:
    def approval(number: int, **changes: object) -> ApprovalRule:
        given = {"key_id": "key1", "provider": "openai", "model": "gpt-4.1", "max_nanos": 2_000_000_000,
                 "valid_until": NOON + timedelta(hours=1), **changes}  # fmt: skip
        return ApprovalRule(UUID(int=number), **given)

    narrow = approval(1, max_nanos=1_000_000_000)
    soon, wide = approval(2, valid_until=NOON + timedelta(minutes=1)), approval(3)
    others = [
        approval(4, key_id="key2"),
        approval(5, model="gpt-5"),
        approval(6, provider="azure"),
        approval(7, max_nanos=999_999_999),
        approval(8, valid_until=NOON),
    ]
    assert evaluation.usable_approvals([wide, *others, soon, narrow], make_request(), NOON) == (narrow, soon, wide)
