"""Reviews as a gateway asks for them, and approvals as a reserve uses them."""

import json
from typing import Any
from uuid import UUID

import psycopg

from apps.orgs.models import Organization
from apps.policies.models import Review
from spendra.kernel.ids import uuid7


def ask(connection: psycopg.Connection, organization: Organization, **asked: Any) -> UUID | None:
    wanted = {
        "id": str(uuid7()),
        "organization_id": str(organization.id),
        "key_id": "key1",
        "actor_id": str(uuid7()),
        "policy_version_id": str(uuid7()),
        "provider": "openai",
        "model": "gpt-4.1",
        "asked_nanos": 3_000_000_000,
        **asked,
    }
    row = connection.execute("SELECT policies_put_review_v1(%s::jsonb)", [json.dumps(wanted)]).fetchone()
    assert row is not None
    return row[0]


def asked_review(connection: psycopg.Connection, organization: Organization, **asked: Any) -> Review:
    return Review.objects.get(id=ask(connection, organization, **asked))


def use(connection: psycopg.Connection, approval: UUID, reservation: UUID) -> bool:
    row = connection.execute("SELECT policies_use_approval_v1(%s, %s, now())", [approval, reservation]).fetchone()
    assert row is not None
    return row[0]


def free(connection: psycopg.Connection, *reservations: UUID) -> None:
    connection.execute("SELECT policies_free_approvals_v1(%s)", [list(reservations)])
