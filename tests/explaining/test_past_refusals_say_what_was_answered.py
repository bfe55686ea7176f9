"""Whatever code a key was refused with: the record says the same as the answer did, and so does an explanation of the
same request now."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest

from apps.catalog import estimating
from apps.catalog.models import CatalogModel
from apps.catalog.types import CatalogEntry
from apps.gateway.parsing import parse_chat_request
from apps.keys.revoking import revoke
from apps.orgs.organizations import suspend_organization
from apps.orgs.units import move
from apps.policies.models import PolicyVersion
from apps.providers.models import ProviderAccount
from spendra.kernel.errors import Refused
from tests.explaining.asking import live, past, run
from tests.explaining.waiting import noted
from tests.gateway.company import MODEL, Company, body
from tests.gateway.governing import error_of, freeze, in_force
from tests.orgs.building import make_unit

# Answered before it is known whose key it is, or by the server in front.
WITHOUT_A_KEY = {
    "refused",
    "request_too_large",
    "headers_too_large",
    "request_timed_out",
    "method_not_allowed",
    "content_type_unsupported",
    "route_not_found",
}
Arranged = dict[str, Any]


def bound(**fields: Any) -> int:
    """What the bytes of the request bound its input at."""
    request = parse_chat_request(orjson.dumps(body(**fields)))
    return estimating.input_bound(request.body, request.facts, entry())


def counted(**fields: Any) -> int:
    """Its tokens as the tokenizer counts them, which the gateway does before a cap refuses it."""
    request = parse_chat_request(orjson.dumps(body(**fields)))
    tokens = estimating.exact_input_tokens(request.texts(), request.facts, entry())
    assert tokens is not None
    return tokens


def entry() -> CatalogEntry:
    return CatalogEntry("openai", MODEL, None, None, ())


@contextmanager
def revoked(company: Company) -> Iterator[Arranged]:
    revoke(company.issued.record.key_id, organization=company.organization, acting="test")
    yield {}


@contextmanager
def suspended(company: Company) -> Iterator[Arranged]:
    suspend_organization(company.organization, acting="test")
    yield {}


@contextmanager
def frozen(company: Company) -> Iterator[Arranged]:
    freeze(company, unit=company.actor)
    yield {}


@contextmanager
def malformed(company: Company) -> Iterator[Arranged]:
    yield {"model": "no model"}


@contextmanager
def unknown(company: Company) -> Iterator[Arranged]:
    yield {"model": "gpt-of-tomorrow"}


@contextmanager
def ungranted(company: Company) -> Iterator[Arranged]:
    key = company.another_key(grants=["openai/gpt-4o"])
    yield {"key": key.key, "key_id": key.record.key_id}


@contextmanager
def unpriced(company: Company) -> Iterator[Arranged]:
    CatalogModel.objects.create(provider="openai", name=f"gpt-{company.organization.slug}")
    yield {"model": f"gpt-{company.organization.slug}"}


@contextmanager
def without_account(company: Company) -> Iterator[Arranged]:
    ProviderAccount.objects.filter(organization=company.organization).delete()
    yield {}


@contextmanager
def cap_demanded(company: Company) -> Iterator[Arranged]:
    company.organization.requires_cap = True
    company.organization.save()
    yield {}


@contextmanager
def denied(company: Company) -> Iterator[Arranged]:
    in_force(company, "per_request_limit", {"max_usd": "0.000001"}, name="pennies")
    yield {"input_tokens": bound()}


@contextmanager
def for_review(company: Company) -> Iterator[Arranged]:
    in_force(company, "review", {"above_usd": "0.000001"}, name="ask first")
    yield {"input_tokens": bound()}


@contextmanager
def too_large(company: Company) -> Iterator[Arranged]:
    key = company.another_key(max_reservation_nanos=1000)
    yield {"key": key.key, "key_id": key.record.key_id, "input_tokens": bound()}


@contextmanager
def spent(company: Company) -> Iterator[Arranged]:
    company.cap(1, period_kind="month")
    yield {"input_tokens": counted()}


@contextmanager
def held(company: Company) -> Iterator[Arranged]:
    company.chat()
    (first,) = company.wait_for_ends(1)
    company.cap(first.booked_nanos + int(first.amount_nanos * 1.5))
    slow = threading.Thread(target=lambda: company.chat(sandbox="delay=6"))
    slow.start()
    while not any(reservation.state == "open" for reservation in company.reservations()):
        time.sleep(0.02)
    yield {"input_tokens": counted()}
    slow.join()


@contextmanager
def too_fast(company: Company) -> Iterator[Arranged]:
    company.cap(1, measure="requests", period_kind="day")
    assert company.chat().status_code == 200
    company.wait_for_ends(1)
    yield {}


CASES: dict[str, Callable[[Company], Any]] = {
    "key_rejected": revoked,
    "organization_suspended": suspended,
    "frozen": frozen,
    "request_malformed": malformed,
    "model_not_found": unknown,
    "model_not_granted": ungranted,
    "model_unpriced": unpriced,
    "provider_not_configured": without_account,
    "cap_required": cap_demanded,
    "policy_denied": denied,
    "review_required": for_review,
    "reservation_too_large": too_large,
    "budget_exceeded": spent,
    "budget_in_flight": held,
    "rate_limited": too_fast,
}


def test_every_code_that_a_key_can_get_is_tried() -> None:
    assert CASES.keys() == codes_below(Refused) - WITHOUT_A_KEY


def codes_below(kind: type[Refused]) -> set[str]:
    return {kind.code}.union(*(codes_below(child) for child in kind.__subclasses__()))


@pytest.mark.parametrize("code", CASES)
def test_a_past_refusal_and_the_same_request_now_say_the_same(company: Company, code: str) -> None:
    counted()  # the first time loads the vocabulary
    with CASES[code](company) as arranged:
        sent = {name: arranged[name] for name in ("key", "model") if name in arranged}
        asked = {name: value for name, value in arranged.items() if name != "key"}
        answer = company.chat(**sent)
        explained_now = live(company, **asked)
        error = error_of(answer)
        assert error["code"] == code
        noted(answer)
        then = past(company, answer.headers["x-request-id"])
    assert (then["decision"], then["refusal"]["code"], then["refusal"]["status"]) == (
        "refuse",
        code,
        answer.status_code,
    )
    assert then["refusal"]["message"] == error["message"]
    assert then["refusal"]["details"] == error["spendra"]
    now = explained_now["refusal"]
    assert (now["code"], now["status"]) == (code, answer.status_code)
    assert without_countdown(now["message"]) == without_countdown(error["message"])
    assert now["details"].keys() == error["spendra"].keys()


DECIDED = [
    "cap_required", "policy_denied", "review_required", "reservation_too_large", "budget_exceeded", "rate_limited",
]  # fmt: skip


@pytest.mark.parametrize("code", DECIDED)
def test_what_was_decided_on_is_kept(company: Company, code: str) -> None:
    """The scope set, the worst case, every policy with what it said, and every cap: as for a request now."""
    in_force(company, "allowlist", {"models": ["openai/*"]}, name="only openai")
    if code != "cap_required":
        company.cap(10**12)
    counted()
    with CASES[code](company) as arranged:
        sent = {name: arranged[name] for name in ("key", "model") if name in arranged}
        asked = {name: value for name, value in arranged.items() if name != "key"}
        answer = company.chat(**sent)
        now = live(company, **{"input_tokens": bound(), **asked})
        noted(answer)
        then = past(company, answer.headers["x-request-id"])
    assert then["scopes"] == now["scopes"]
    assert {name: now["worst_case"][name] for name in then["worst_case"]} == then["worst_case"]
    assert then["policies"] == sorted(now["policies"], key=lambda policy: policy["policy"])
    assert "only openai" in {policy["policy"] for policy in then["policies"]}
    assert {cap["rule"] for cap in then["caps"]} == {cap["rule"] for cap in now["caps"] or ()}


def test_the_rules_of_a_past_refusal_are_those_of_its_time(company: Company) -> None:
    policy = in_force(company, "allowlist", {"models": ["anthropic/*"]}, name="no openai")
    answer = company.chat()
    refusal = noted(answer)
    retired_at = refusal.at + timedelta(microseconds=1)
    PolicyVersion.objects.filter(id=policy.id).update(state="retired", retired_at=retired_at)
    elsewhere = make_unit(company.organization, "Elsewhere", kind="team")
    move(company.actor, organization=company.organization, parents=[elsewhere], acting="test")
    then = past(company, answer.headers["x-request-id"])
    assert [(one["policy"], one["outcome"]) for one in then["policies"]] == [("no openai", "denied")]
    assert "Elsewhere" not in {scope["name"] for scope in then["scopes"]}
    words = run(company, "--request", answer.headers["x-request-id"], as_json=False)
    assert "denied      no openai, version 1" in words
    assert f"Scopes      agent {company.actor.name}" in words


def without_countdown(message: str) -> str:
    return re.sub(r"in \d+ seconds", "soon", message)
