"""What was granted is explained from its reservation: the rules of its day, what was booked, what caps have left."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.budgets.models import Reservation
from apps.gateway import explaining_past
from apps.gateway.explaining_past import explain_past
from apps.orgs.models import Organization
from apps.orgs.units import create_unit, move
from spendra.kernel.clock import database_now
from spendra.kernel.errors import NotFound
from spendra.kernel.ids import uuid7, uuid7_at
from tests.databases import Database
from tests.explaining.asking import past, run
from tests.explaining.waiting import noted
from tests.gateway.company import Company, make_company
from tests.gateway.governing import USD, activate, approve, draft, error_of, in_force, in_shadow, retire


def test_a_granted_request_is_found_by_either_of_its_ids(company: Company) -> None:
    cap = company.cap(USD, period_kind="day")
    answer = company.chat()
    (reservation,) = company.wait_for_ends(1)
    by_request, by_reservation = past(company, answer.headers["x-request-id"]), past(company, reservation.id)
    assert by_request == by_reservation
    assert by_request["decision"] == "allow"
    assert by_request["reservation"]["id"] == answer.headers["x-spendra-reservation"]
    assert by_request["price_version_id"] == str(reservation.price_version_id)
    [entry] = by_request["entries"]
    assert entry["amount_nanos"] == by_request["reservation"]["booked_nanos"] == str(reservation.booked_nanos)
    [told] = by_request["caps"]
    assert told["rule"] == str(cap.id)
    assert (told["settled"], told["remaining"]) == (str(reservation.booked_nanos), str(USD - reservation.booked_nanos))
    assert [scope["name"] for scope in by_request["scopes"]] == ["Ada's agent", company.organization.slug]


def test_it_is_explained_by_the_rules_and_scopes_of_its_day(company: Company) -> None:
    old, new = (
        create_unit(organization=company.organization, kind="team", name=name, acting="test") for name in ("Old", "New")
    )
    move(company.actor, organization=company.organization, parents=[old], acting="test")
    first = in_force(company, "allowlist", {"models": ["openai/gpt-4.1-*"]}, name="models", unit=old)
    in_shadow(company, "per_request_limit", {"max_nanos": 1}, name="watching")
    answer = company.chat()
    company.wait_for_ends(1)
    retire(company, first)
    in_force(company, "allowlist", {"models": []}, name="later")
    move(company.actor, organization=company.organization, parents=[new], acting="test")
    then = past(company, answer.headers["x-request-id"])
    said = {
        policy["policy"]: (policy["version_id"], policy["outcome"], policy["is_shadow"]) for policy in then["policies"]
    }
    assert said.keys() == {"models", "watching"}
    assert said["models"] == (str(first.id), "passed", False)
    assert said["watching"][1:] == ("denied", True)
    assert {scope["name"] for scope in then["scopes"]} == {"Ada's agent", "Old", company.organization.slug}


def test_what_is_not_kept_of_a_request_is_not_guessed(company: Company) -> None:
    in_force(company, "allowlist", {"tools": ["web_search"]}, name="tools")
    in_force(company, "per_request_limit", {"max_output_tokens": 16}, name="short answers")
    in_shadow(company, "allowlist", {"tools": []}, name="watching tools")
    answer = company.chat()
    company.wait_for_ends(1)
    then = past(company, answer.headers["x-request-id"])
    said = {policy["policy"]: (policy["outcome"], policy["reason"]) for policy in then["policies"]}
    assert said["tools"] == said["short answers"] == ("passed", "It let the request pass, by what is not kept of it.")
    assert said["watching tools"][0] == "undecidable"


def test_an_approval_that_let_it_pass_is_named(company: Company) -> None:
    in_force(company, "review", {}, name="ask first")
    approval = approve(company, error_of(company.chat())["spendra"]["review"])
    answer = company.chat()
    company.wait_for_ends(1)
    then = past(company, answer.headers["x-request-id"])
    assert then["approval"] == {"id": str(approval.id)}
    [policy] = then["policies"]
    assert policy["outcome"] == "review"
    assert policy["reason"].endswith("An approval let it pass.")


def test_dates_of_a_policy_count_at_that_instant(company: Company) -> None:
    version = draft(company, "per_request_limit", {"max_nanos": 0}, name="tomorrow")
    activate(company, version, effective_from=database_now() + timedelta(days=1))
    answer = company.chat()
    company.wait_for_ends(1)
    [policy] = past(company, answer.headers["x-request-id"])["policies"]
    assert policy["outcome"] == "not_yet"


def test_requests_of_another_organization_are_not_found(company: Company) -> None:
    other = make_company(company.gateway_url)
    granted, refused = company.chat(), company.chat(model="gpt-of-tomorrow")
    noted(refused)
    company.wait_for_ends(1)
    ids = [granted.headers["x-request-id"], granted.headers["x-spendra-reservation"], refused.headers["x-request-id"]]
    for request_id in ids:
        assert past(company, request_id)
        with pytest.raises(NotFound):
            explain_past(other.organization, request_id)


@pytest.mark.parametrize("request_id", ["", "req_123", "0" * 32, "f" * 32, str(UUID(int=2**128 - 1)), "\x00", "é"])
def test_an_id_that_nothing_is_kept_of_is_not_found(company: Company, request_id: str) -> None:
    with pytest.raises(NotFound):
        explain_past(company.organization, request_id)


def test_commands_end_with_1_where_nothing_is_found_and_2_where_they_are_misused(company: Company) -> None:
    for arguments, code in (
        (["--request", uuid7().hex], 1),
        (["--key", "nobody", "--model", "gpt-4o"], 1),
        (["--key", company.issued.record.key_id], 2),
    ):
        with pytest.raises(CommandError) as refused:
            run(company, *arguments)
        assert refused.value.returncode == code


def test_a_key_of_another_organization_is_not_found(company: Company) -> None:
    other = make_company(company.gateway_url)
    with pytest.raises(CommandError, match="There is no key"):
        run(company, "--key", other.issued.record.key_id, "--model", "gpt-4o")


def test_a_person_reads_of_both(company: Company) -> None:
    company.cap(USD)
    in_force(company, "allowlist", {"models": ["openai/gpt-4.1-*"]}, name="cheap ones")
    granted, refused = company.chat(), company.chat(model="gpt-4o")
    noted(refused)
    company.wait_for_ends(1)
    told = run(company, "--request", granted.headers["x-request-id"], as_json=False)
    assert told.startswith("Allowed: settled, ")
    assert "charge of" in told
    assert "cheap ones, version 1" in told
    assert "hard total cap on organization" in told
    told = run(company, "--request", refused.headers["x-request-id"], as_json=False)
    assert told.startswith("Refused: policy_denied (403)")
    assert "denied      cheap ones, version 1" in told


def test_a_request_is_looked_for_by_index_among_its_neighbours(database: Database) -> None:
    writer = database.connect()
    organization = make_reservations(writer, 20_000)
    reservation = Reservation.objects.order_by("id")[10_000]
    assert explaining_past.find_reservation(organization, UUID(reservation.request_id)).id == reservation.id
    with Captured() as statements:
        explaining_past.find_reservation(organization, uuid7())
    plans = [plan for statement in statements for plan in explained(statement)]
    assert plans
    for plan in plans:
        assert "Seq Scan" not in plan, plan
        assert "Index Scan using budgets_reservation_" in plan or "never executed" in plan, plan


def make_reservations(writer: psycopg.Connection[Any], count: int) -> Any:
    """Twenty a second, the last of them now; each with the id of a request a moment older."""
    organization = Organization.objects.create(slug="acme", name="Acme")
    now = uuid7().int >> 80
    rows = []
    for number in range(count):
        at = now - 50 * (count - number)
        rows.append((uuid7_at(at + 3), organization.id, uuid7_at(at).hex))
    with writer.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO budgets_reservation (id, organization_id, key_id, actor_id, process_id, request_id, provider,"
            " model, amount_nanos, amount_tokens, scope_ids, period_ids, state, reserved_at, expires_at) VALUES"
            " (%s, %s, 'k', gen_random_uuid(), gen_random_uuid(), %s, 'openai', 'm', 1, 1, '{}', '{}', 'voided',"
            " now(), now())",
            rows,
        )
    writer.execute("ANALYZE budgets_reservation")
    return organization


class Captured:
    def __enter__(self) -> list[str]:
        self._context = CaptureQueriesContext(connection)
        self._context.__enter__()
        self._statements: list[str] = []
        return self._statements

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
        self._statements += [query["sql"] for query in self._context.captured_queries]


def explained(statement: str) -> list[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return ["\n".join(line for (line,) in cursor.fetchall())]
