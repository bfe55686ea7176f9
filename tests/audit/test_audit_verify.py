"""Whoever gets past the database's refusal, as its owner can, is seen: by the hashes, or by a signed checkpoint."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import override_settings

from apps.audit import verifying
from apps.audit.checkpoints import sign_checkpoints
from apps.audit.models import INSTALLATION, AuditCheckpoint, AuditLink
from apps.audit.recording import record
from apps.orgs.models import Organization
from apps.orgs.organizations import create_organization
from tests.databases import Database

Plain = psycopg.Connection[Any]
LINKS_AND_RECORDS = (
    "DELETE FROM audit_auditrecord r USING audit_auditlink l "
    "WHERE l.record_id = r.id AND l.chain_id = %(acme)s AND l.place {0}; "
    "DELETE FROM audit_auditlink WHERE chain_id = %(acme)s AND place {0}"
)


@pytest.fixture
def plain(database: Database) -> Plain:
    """Two organizations with six records each, which began with the one of their creation."""
    for slug in ("acme", "beta"):
        organization = create_organization(slug=slug, name=slug, acting="command:test")
        for number in range(5):
            with transaction.atomic():
                record(
                    organization_id=organization.id,
                    actor="ada@example.com",
                    action="keys.issue",
                    object_kind="key",
                    object_id=f"key-{number}",
                    after={"grants": ["openai/*"], "expires_at": None, "max": "1"},
                )
    return database.connect(autocommit=False)


def acme() -> UUID:
    return AuditLink.objects.exclude(chain_id=INSTALLATION).order_by("chain_id").values_list("chain_id", flat=True)[0]


@contextmanager
def refusal_lifted(plain: Plain) -> Iterator[Plain]:
    tables = ("audit_auditrecord", "audit_auditlink", "audit_auditcheckpoint")
    for what in ("DISABLE", "ENABLE ALWAYS"):
        for table in tables:
            plain.execute(f"ALTER TABLE {table} {what} TRIGGER append_only")
        if what == "DISABLE":
            yield plain
    plain.commit()


def tamper(plain: Plain, statements: str) -> None:
    with refusal_lifted(plain):
        for statement in statements.split("; "):
            plain.execute(statement, {"acme": acme()})


def checks() -> list[tuple[str, str]]:
    return [(row.check, row.object_id) for row in verifying.verify()]


def record_at(place: int) -> str:
    return str(AuditLink.objects.get(chain_id=acme(), place=place).record_id)


def test_a_chain_that_nobody_touched_is_whole(plain: Plain) -> None:
    assert checks() == []
    sign_checkpoints()
    assert checks() == []


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'another'", "actor = 'bo@example.com'", "at = at + interval '1 microsecond'",
        "organization_id = NULL", "action = 'keys.revoke'", "object_id = 'key-9'", "object_kind = 'unit'",
        "before = '{}'", """after = after || '{"max": "2"}'""",
    ],
)  # fmt: skip
def test_an_edited_record_is_seen(plain: Plain, change: str) -> None:
    tamper(plain, f"UPDATE audit_auditrecord SET {change} WHERE id = '{record_at(3)}'")
    assert checks() == [("hash", record_at(3))]


def test_an_edited_record_whose_hash_was_made_anew_breaks_the_next_link(plain: Plain) -> None:
    tamper(
        plain,
        f"UPDATE audit_auditrecord SET reason = 'another' WHERE id = '{record_at(3)}'; "
        "UPDATE audit_auditlink l SET hash = audit_hash_v1(before.hash, l.chain_id, l.place, r) "
        "FROM audit_auditrecord r, audit_auditlink before WHERE r.id = l.record_id AND l.chain_id = %(acme)s "
        "AND l.place = 3 AND before.chain_id = l.chain_id AND before.place = 2",
    )
    assert checks() == [("hash", record_at(4))]


def test_a_deleted_record_is_seen(plain: Plain) -> None:
    gone = record_at(3)
    tamper(plain, f"DELETE FROM audit_auditrecord WHERE id = '{gone}'")
    assert checks() == [("record_of_link", gone)]


def test_a_record_deleted_with_its_link_leaves_a_gap(plain: Plain) -> None:
    tamper(plain, LINKS_AND_RECORDS.format("= 3"))
    assert checks() == [("place_after_the_one_before", record_at(4))]


def test_the_first_record_cannot_go_unseen_either(plain: Plain) -> None:
    tamper(plain, LINKS_AND_RECORDS.format("= 1"))
    assert checks() == [("place_after_the_one_before", record_at(2))]


def test_a_lost_end_is_seen_by_the_checkpoint_before_it(plain: Plain) -> None:
    sign_checkpoints()
    [checkpoint] = AuditCheckpoint.objects.filter(chain_id=acme())
    tamper(plain, LINKS_AND_RECORDS.format("> 4"))
    assert checks() == [("checkpoint", str(checkpoint.id))]


def test_a_whole_chain_that_is_gone_is_seen_by_its_checkpoint(plain: Plain) -> None:
    chain = acme()
    sign_checkpoints()
    tamper(plain, LINKS_AND_RECORDS.format("> 0"))
    assert checks() == [("checkpoint", str(AuditCheckpoint.objects.get(chain_id=chain).id))]


def test_an_end_that_was_written_anew_is_seen_by_the_checkpoint(plain: Plain, caplog: pytest.LogCaptureFixture) -> None:
    sign_checkpoints()
    [checkpoint] = AuditCheckpoint.objects.filter(chain_id=acme())
    tamper(
        plain,
        f"UPDATE audit_auditrecord SET reason = 'another' WHERE id = '{record_at(6)}'; "
        "UPDATE audit_auditlink l SET hash = audit_hash_v1(before.hash, l.chain_id, l.place, r) "
        "FROM audit_auditrecord r, audit_auditlink before WHERE r.id = l.record_id AND l.chain_id = %(acme)s "
        "AND l.place = 6 AND before.chain_id = l.chain_id AND before.place = 5",
    )
    assert checks() == [("checkpoint", str(checkpoint.id))]
    with transaction.atomic():
        record(organization_id=acme(), actor="ada@example.com", action="a", object_kind="key", object_id="key-9")
    assert sign_checkpoints() == [], "nothing is vouched for on top of it"
    assert f"the audit chain {acme()} is not whole" in caplog.text


def test_records_that_changed_places_are_seen(plain: Plain) -> None:
    tamper(
        plain,
        "UPDATE audit_auditlink SET place = 99 WHERE chain_id = %(acme)s AND place = 3; "
        "UPDATE audit_auditlink SET place = 3 WHERE chain_id = %(acme)s AND place = 4; "
        "UPDATE audit_auditlink SET place = 4 WHERE chain_id = %(acme)s AND place = 99",
    )
    assert checks() == [("hash", record_at(3)), ("hash", record_at(4)), ("hash", record_at(5))]


def test_a_record_that_came_past_the_chain_is_seen(plain: Plain) -> None:
    plain.execute("ALTER TABLE audit_auditrecord DISABLE TRIGGER chain")
    plain.execute(
        "INSERT INTO audit_auditrecord (id, at, organization_id, actor, action, object_kind, object_id, reason) "
        "VALUES ('ffffffff-0000-7000-8000-000000000000', now(), %(acme)s, 'psql', 'a.b', 'c', 'd', '')",
        {"acme": acme()},
    )
    plain.execute("ALTER TABLE audit_auditrecord ENABLE ALWAYS TRIGGER chain")
    plain.commit()
    assert checks() == [("link_of_record", "ffffffff-0000-7000-8000-000000000000")]


@pytest.mark.parametrize("change", ["place = 5", "made_at = now()", "hash = ''", "signature = ''"])
def test_a_forged_checkpoint_is_seen(plain: Plain, change: str) -> None:
    sign_checkpoints()
    tamper(plain, f"UPDATE audit_auditcheckpoint SET {change} WHERE chain_id = %(acme)s")
    assert "checkpoint_signature" in {check for check, _ in checks()}


def test_after_the_root_secret_was_rotated_a_new_checkpoint_is_asked_for(plain: Plain) -> None:
    sign_checkpoints()
    with override_settings(AUDIT_CHECKPOINT_KEY=b"another"):
        assert {check for check, _ in checks()} == {"checkpoint_key"}
        sign_checkpoints()
        assert checks() == []
        tamper(plain, LINKS_AND_RECORDS.format("> 5"))
        assert [check for check, _ in checks()] == ["checkpoint", "checkpoint"]


def test_a_checkpoint_is_made_only_of_what_is_new_and_whole(plain: Plain, caplog: pytest.LogCaptureFixture) -> None:
    assert len(sign_checkpoints()) == 3
    assert sign_checkpoints() == []
    tamper(plain, LINKS_AND_RECORDS.format("> 4"))
    assert sign_checkpoints() == []
    assert f"the audit chain {acme()} is not whole" in caplog.text
    create_organization(slug="gamma", name="Gamma", acting="command:test")
    [made] = sign_checkpoints()
    assert made.place == 1


def test_what_is_signed_is_told_to_the_log(plain: Plain, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    made = sign_checkpoints()
    for checkpoint in made:
        assert f"chain {checkpoint.chain_id}, place {checkpoint.place}, hash {checkpoint.hash.hex()}" in caplog.text


def test_long_chains_are_read_in_stretches(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.audit.verifying._CHUNK_SIZE", 2)
    assert checks() == []
    tamper(plain, LINKS_AND_RECORDS.format("IN (2, 3, 4)"))
    assert checks() == [("place_after_the_one_before", record_at(5))]


def verified(*options: str) -> Any:
    out = StringIO()
    try:
        call_command("audit_verify", *options, "--json", stdout=out)
    except CommandError as error:
        return json.loads(out.getvalue()), str(error)
    return json.loads(out.getvalue()), None


def test_the_command_tells_what_differs_and_fails(plain: Plain) -> None:
    told, failure = verified()
    assert (told["is_whole"], told["differences"], failure) == (True, [], None)
    assert {"acme", "beta", None} <= {chain["organization"] for chain in told["chains"]}
    tamper(plain, f"DELETE FROM audit_auditrecord WHERE id = '{record_at(3)}'")
    told, failure = verified()
    assert (told["is_whole"], failure) == (False, "1 rows differ.")
    assert told["differences"] == [
        {"check": "record_of_link", "object_id": record_at(3), "found": "gone", "expected": "there"}
    ]


def test_another_organizations_chain_is_untouched(plain: Plain) -> None:
    slugs = {str(row.id): row.slug for row in Organization.objects.all()}
    harmed = slugs[str(acme())]
    [other] = {"acme", "beta"} - {harmed}
    tamper(plain, LINKS_AND_RECORDS.format("= 3"))
    told, failure = verified("--organization", other)
    assert (told["is_whole"], failure) == (True, None)
    assert [chain["organization"] for chain in told["chains"]] == [other]
    assert verified("--organization", harmed)[1] == "1 rows differ."
    assert verified("--organization", "nobody")[1] == "There is no organization 'nobody'."
