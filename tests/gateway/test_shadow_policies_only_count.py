"""A policy in shadow changes no outcome; what it would have said is counted, for its version and as a metric."""

import time

import httpx

from apps.policies.models import PolicyVersion, ShadowCount
from tests.gateway.company import Company
from tests.gateway.governing import in_force, in_shadow, outcome
from tests.gateway.running import METRICS_TOKEN


def counted(version: PolicyVersion, *, asked: int, seconds: float = 15) -> ShadowCount:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        count = ShadowCount.objects.filter(version_id=version.id).first()
        if count is not None and count.asked >= asked:
            return count
        time.sleep(0.1)
    raise AssertionError(f"version {version.id} was not counted {asked} times")


def metric(company: Company, effect: str, kind: str) -> float:
    head = {"authorization": f"Bearer {METRICS_TOKEN}"}
    lines = httpx.get(f"{company.gateway_url}/metrics", headers=head).text.splitlines()
    name = f'spendra_gateway_shadow_decisions_total{{effect="{effect}",kind="{kind}"}}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


KINDS = (
    ("allowlist", {"models": ["openai/gpt-4o"]}, "deny"),
    ("per_request_limit", {"max_nanos": 0}, "deny"),
    ("review", {}, "review"),
)


def test_it_refuses_nothing_and_is_counted(company: Company) -> None:
    versions = {effect + kind: in_shadow(company, kind, rule) for kind, rule, effect in KINDS}
    before = {kind: metric(company, effect, kind) for kind, _, effect in KINDS}
    assert [outcome(company.chat()) for _ in range(3)] == ["200"] * 3
    for kind, _, effect in KINDS:
        assert metric(company, effect, kind) == before[kind] + 3
        count = counted(versions[effect + kind], asked=3)
        assert (count.denied, count.for_review) == ((3, 0) if effect == "deny" else (0, 3))
        assert count.organization_id == company.organization.id
        assert count.first_at <= count.last_at


def test_it_counts_what_it_would_refuse_once_it_is_active_and_not_what_bytes_only_bound(company: Company) -> None:
    """A thousand bytes of text are two hundred tokens, which is what an active limit would find."""
    limit = in_shadow(company, "per_request_limit", {"max_input_tokens": 400})
    review = in_shadow(company, "review", {"above_usd": "0.0003"})
    for words in (200, 1000):
        text = "hello " * words
        assert outcome(company.chat(messages=[{"role": "user", "content": text}])) == "200"
    assert (counted(limit, asked=2).denied, counted(review, asked=2).for_review) == (1, 1)


def test_what_it_lets_pass_and_what_another_policy_refuses_is_counted_too(company: Company) -> None:
    version = in_shadow(company, "allowlist", {"models": ["openai/gpt-4.1-mini"]})
    in_force(company, "allowlist", {"models": ["openai/gpt-4.1-mini", "openai/gpt-4.1"]})
    outcomes = [outcome(company.chat(model=model)) for model in ("gpt-4.1-mini", "gpt-4.1", "gpt-4o")]
    assert outcomes == ["200", "200", "policy_denied"]
    count = counted(version, asked=3)
    assert (count.asked, count.denied) == (3, 2)
