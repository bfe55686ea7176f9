"""What approvers answer. Reviews are asked for by gateways, in policies_put_review_v1."""

from datetime import datetime

from django.db import transaction

from apps.keys.queries import find_key
from apps.orgs.models import Organization
from apps.policies import lapsing
from apps.policies.audited import REVIEW
from apps.policies.models import Approval, Review, ReviewState
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Conflict, Invalid, NotFound
from spendra.kernel.money import MAX_AMOUNT_NANOS, format_usd


@transaction.atomic
def approve(
    review: Review, *, organization: Organization, max_nanos: int, valid_until: datetime, acting: str, note: str = ""
) -> Approval:
    """Lets one request of the review's key for its model pass, up to an amount and until an instant. The amount may be
    less than what was asked.

    NotFound for another organization's review, Conflict where somebody has decided it or it has lapsed, Invalid for an
    amount or time that cannot be and for a key that is revoked. Locks the review's row.
    """
    now = database_now()
    current = _lock_pending(review, organization)
    if not 1 <= max_nanos <= MAX_AMOUNT_NANOS:
        raise Invalid(f"The amount must be above 0 and at most {format_usd(MAX_AMOUNT_NANOS)} USD.", param="max_nanos")
    if valid_until.tzinfo is None:
        raise Invalid("The time until which it is approved needs a time zone.", param="valid_until")
    if valid_until <= now:
        raise Invalid("The approval would have ended already.", param="valid_until")
    if find_key(current.key_id, organization=organization).revoked_at is not None:
        raise Invalid(f"The key {current.key_id} is revoked.")
    approval = Approval.objects.create(
        organization=organization,
        review=current,
        key_id=current.key_id,
        provider=current.provider,
        model=current.model,
        max_nanos=max_nanos,
        valid_until=valid_until,
        created_at=now,
    )
    _decide(current, ReviewState.APPROVED, now, acting=acting, note=note)
    after = {"max_nanos": str(max_nanos), "valid_until": valid_until}
    REVIEW.record("approve", current, after=after, acting=acting, reason=note)
    return approval


@transaction.atomic
def deny(review: Review, *, organization: Organization, acting: str, note: str = "") -> Review:
    """Ends the review; the same request asks for a new one. Errors and locks as for `approve`."""
    current = _lock_pending(review, organization)
    _decide(current, ReviewState.DENIED, database_now(), acting=acting, note=note)
    REVIEW.record("deny", current, acting=acting, reason=note)
    return current


def _lock_pending(review: Review, organization: Organization) -> Review:
    locked = Review.objects.select_for_update(no_key=True).filter(organization_id=organization.id, id=review.id)
    current = locked.first()
    if current is None:
        raise NotFound(f"There is no review {review.id} in {organization}.")
    if current.state == ReviewState.LAPSED:
        raise Conflict(
            f"This review has lapsed: nobody decided it within {lapsing.AFTER_DAYS} days. "
            "The same request asks for a new one."
        )
    if current.state != ReviewState.PENDING:
        raise Conflict(f"{current.decided_by} has {current.state} this review already.")
    return current


def _decide(review: Review, state: ReviewState, now: datetime, *, acting: str, note: str) -> None:
    review.state, review.decided_by, review.decided_at, review.note = state, acting, now, _clean_note(note)
    review.save(update_fields=["state", "decided_by", "decided_at", "note"])


def _clean_note(note: str) -> str:
    note = note.strip()
    if len(note) > 500 or "\x00" in note:
        raise Invalid("A note has at most 500 characters.", param="note")
    return note
