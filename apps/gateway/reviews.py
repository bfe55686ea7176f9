"""Asks approvers for what a review policy holds back: the one pending review of a key and model, for all who ask."""

import logging
from collections.abc import Sequence
from typing import TypedDict
from urllib.parse import urljoin
from uuid import UUID

import orjson
import psycopg

from apps.budgets.connecting import HotConnection
from apps.gateway.deciding import Decided
from apps.gateway.lanes import Lane
from apps.policies.types import ApprovalRule
from spendra.kernel.errors import Busy, ReviewRequired
from spendra.kernel.ids import uuid7
from spendra.kernel.money import MAX_AMOUNT_NANOS

log = logging.getLogger(__name__)

PAGE = "admin/policies/review/{id}/change/"
# In one order: two batches of the same reviews would wait for each other otherwise.
_PUT = """
SELECT coalesce(json_agg(policies_put_review_v1(asked.review) ORDER BY asked.n), '[]')::text
FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY asked (review, n)
"""
_USED = """
SELECT coalesce(json_agg(approval_id), '[]')::text FROM policies_approvaluse WHERE approval_id = ANY (%s::uuid[])
"""
_Name = tuple[str, str, str, str]


class _Asked(TypedDict):
    id: str
    organization_id: str
    key_id: str
    actor_id: str
    policy_version_id: str
    provider: str
    model: str
    asked_nanos: int


class Reviews:
    def __init__(self, connection: HotConnection, *, public_url: str) -> None:
        self._connection = connection
        self._public_url = public_url
        self._lane: Lane[_Asked, str | None] = Lane(self._put)

    async def ask(self, refusal: ReviewRequired, decided: Decided) -> ReviewRequired:
        """The same refusal with the review to refer to. Busy where it can't be asked for just now."""
        route = decided.route
        review_id = await self._lane.submit(
            _Asked(
                id=str(uuid7()),
                organization_id=route.organization_id,
                key_id=route.key.key_id,
                actor_id=route.actor_id,
                policy_version_id=str(decided.decision.fired[0].version_id),
                provider=route.provider,
                model=route.entry.model,
                asked_nanos=min(decided.estimate.nanos, MAX_AMOUNT_NANOS),
            )
        )
        return referring_to(review_id, refusal, public_url=self._public_url)

    async def used(self, approvals: Sequence[ApprovalRule]) -> set[UUID]:
        """Those by which a request passes, or has passed, just now. Busy where Postgres does not answer."""
        try:
            found = await self._connection.ask(_USED, ([approval.id for approval in approvals],))
        except psycopg.Error as error:
            raise Busy("the database does not answer; try again") from error
        return set(map(UUID, orjson.loads(str(found))))

    async def _put(self, asked: list[_Asked]) -> Sequence[str | None]:
        most: dict[_Name, _Asked] = {}
        for one in sorted(asked, key=lambda one: one["asked_nanos"]):
            most[_name(one)] = one
        names = sorted(most)
        parameters = (orjson.dumps([most[name] for name in names]).decode(),)
        try:
            found = orjson.loads(str(await self._connection.ask(_PUT, parameters)))
        except psycopg.Error as error:
            log.warning("asking for reviews failed: %s", error)
            raise Busy("the database does not answer; try again") from error
        ids = dict(zip(names, found, strict=True))
        return [ids[_name(one)] for one in asked]

    async def close(self) -> None:
        await self._lane.close()


def referring_to(review_id: str | None, refusal: ReviewRequired, *, public_url: str) -> ReviewRequired:
    """The refusal with the review that was asked for; None: so many wait already that none was."""
    link = urljoin(f"{public_url}/", PAGE.format(id=review_id)) if review_id and public_url else None
    return ReviewRequired(
        f"{refusal.message} {_next_step(review_id, link)}",
        details={**refusal.details, "review": review_id, "link": link},
    )


def _name(asked: _Asked) -> _Name:
    return asked["organization_id"], asked["key_id"], asked["provider"], asked["model"]


def _next_step(review_id: str | None, link: str | None) -> str:
    if review_id is None:
        return "Too many reviews wait for an approver already: ask an administrator."
    where = f": {link}" if link else " by an approver"
    return f"Review {review_id} was asked for{where}. Once it is allowed, the same request passes once."
