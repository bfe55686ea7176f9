"""What a known key was refused is kept for a while, without a word of the request's content, and never in its way."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import httpx
import psycopg
import pytest
from django.db import connection, transaction

from apps.gateway import metrics
from apps.gateway.refused import MOST_A_SECOND, Asked, Refusals
from apps.keys.revoking import revoke
from apps.policies.models import Refusal
from apps.policies.tasks import forget_refusals
from spendra.kernel.clock import database_now
from spendra.kernel.errors import ModelNotFound
from spendra.kernel.ids import uuid7
from tests.databases import Database
from tests.explaining.waiting import noted, request_id_of
from tests.gateway.company import Company, body
from tests.gateway.governing import error_of, in_force

NOTE = "SELECT policies_note_refusals_v2(%s::jsonb)"


def test_a_refusal_is_noted_as_it_was_answered(company: Company) -> None:
    in_force(company, "allowlist", {"models": ["openai/gpt-4o"]}, name="only that")
    answer = company.chat()
    error = error_of(answer)
    refusal = noted(answer)
    assert (refusal.code, refusal.message) == (error["code"], error["message"])
    assert refusal.details == error["spendra"]
    assert (refusal.organization_id, refusal.key_id) == (company.organization.id, company.issued.record.key_id)
    assert (refusal.provider, refusal.model) == ("openai", body()["model"])


def test_a_revoked_key_is_still_the_key_that_was_refused(company: Company) -> None:
    revoke(company.issued.record.key_id, organization=company.organization, acting="test")
    assert noted(company.chat()).code == "key_rejected"


def test_whoever_only_knows_the_id_of_a_key_notes_nothing_under_it(company: Company) -> None:
    other = company.another_key()
    guessed = f"{company.key.rpartition('_')[0]}_{other.key.rpartition('_')[2]}"
    wrong = company.chat(key=guessed)
    assert wrong.status_code == 401
    noted(company.chat(model="gpt-unheard-of"))
    assert not Refusal.objects.filter(id=request_id_of(wrong)).exists()


def test_nothing_of_the_content_is_kept(company: Company) -> None:
    head = {"authorization": f"Bearer {company.key}", "content-type": "application/json"}
    secret = "my-private-words"
    content = f'{{"{secret}": 1, "{secret}": 2, "model": "gpt-4.1-mini", "messages": []}}'
    answer = httpx.post(f"{company.gateway_url}/v1/chat/completions", content=content, headers=head)
    assert secret in error_of(answer)["message"]
    refusal = noted(answer)
    assert refusal.code == "request_malformed"
    assert secret not in f"{refusal.message} {refusal.details} {refusal.model}"


def test_what_looks_like_a_secret_is_left_out_where_a_model_belongs(company: Company) -> None:
    refusal = noted(company.chat(model="sk-proj-0123456789abcdefghij"))
    assert refusal.model == "(secret)"
    assert "0123456789" not in refusal.message


def test_a_client_in_a_loop_pushes_out_nobody_else(database: Database) -> None:
    loud, quiet = UUID(int=1), UUID(int=2)
    before = metrics.unnoted_refusals._value.get()

    async def refuse() -> None:
        refusals = Refusals(database.url)
        for organization_id in [loud] * 300 + [quiet]:
            asked = Asked(uuid7().hex, organization_id=organization_id, key_id="key", model="m")
            refusals.note(asked, ModelNotFound("There is none."), at)
        await refusals.close()

    at = database_now()
    asyncio.run(refuse())
    assert Refusal.objects.filter(organization_id=loud).count() == MOST_A_SECOND
    assert Refusal.objects.filter(organization_id=quiet).count() == 1
    assert metrics.unnoted_refusals._value.get() - before == 300 - MOST_A_SECOND


def test_where_postgres_is_away_refusals_are_counted_and_nobody_waits(database: Database) -> None:
    before = metrics.unnoted_refusals._value.get()

    async def refuse() -> None:
        refusals = Refusals("postgresql://127.0.0.1:1/nowhere")
        refusals.note(Asked(uuid7().hex, organization_id=UUID(int=1)), ModelNotFound("There is none."), at)
        await refusals.close()

    at = database_now()
    asyncio.run(refuse())
    assert metrics.unnoted_refusals._value.get() - before == 1


def a_refusal(request_id: UUID, at: object) -> str:
    return json.dumps(
        [
            {
                "id": str(request_id),
                "organization_id": str(UUID(int=1)),
                "key_id": "key",
                "provider": "openai",
                "model": "m",
                "code": "frozen",
                "message": "first",
                "details": {},
                "at": str(at),
            }
        ]
    )


def test_what_was_noted_can_neither_be_changed_nor_removed(database: Database) -> None:
    writer = database.connect()
    request_id = uuid7()
    writer.execute(NOTE, [a_refusal(request_id, database_now())])
    writer.execute(NOTE, [a_refusal(request_id, database_now()).replace("first", "second")])
    assert Refusal.objects.get().message == "first"
    for change in (
        "UPDATE policies_refusal SET message = ''",
        "DELETE FROM policies_refusal",
        "TRUNCATE policies_refusal",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(change)


def test_after_thirty_days_the_worker_forgets(database: Database) -> None:
    writer = database.connect()
    now = database_now()
    old, young = uuid7(), uuid7()
    writer.execute(NOTE, [a_refusal(old, now - timedelta(days=30, minutes=1))])
    writer.execute(NOTE, [a_refusal(young, now - timedelta(days=29))])
    assert forget_refusals() == 1
    assert Refusal.objects.get().id == young
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT id FROM policies_refusal WHERE at < now() ORDER BY at LIMIT 5")
        assert "Index Scan using policies_refusal_at" in str(cursor.fetchall())
