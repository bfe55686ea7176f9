"""What a test spends with: an organization of its own, an actor, a key, caps; and a look at what was booked."""

import itertools
import time
from dataclasses import dataclass
from typing import Any

import httpx
import openai

from apps.budgets.capping import set_cap
from apps.budgets.models import Budget, Reservation
from apps.keys.issuing import IssuedKey, issue
from apps.ledger.models import LedgerEntry, SpendEvent
from apps.orgs.models import Organization, Unit
from apps.orgs.organizations import create_organization
from apps.orgs.units import create_unit
from apps.providers.accounts import create_default_accounts

MODEL = "gpt-4.1-mini"
_numbers = itertools.count(1)


@dataclass
class Company:
    organization: Organization
    actor: Unit
    issued: IssuedKey
    gateway_url: str

    @property
    def key(self) -> str:
        return self.issued.key

    def cap(self, amount: int, *, unit: Unit | None = None, period_kind: str = "total", **fields: Any) -> Budget:
        return set_cap(
            organization=self.organization, unit=unit, period_kind=period_kind, amount=amount, acting="test", **fields
        )

    def another_key(self, **fields: Any) -> IssuedKey:
        fields = {"actor": self.actor, "grants": ["openai/*"], **fields}
        return issue(organization=self.organization, acting="test", **fields)

    def client(self, key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.gateway_url}/v1", api_key=key or self.key, max_retries=0)

    def chat(self, *, key: str | None = None, sandbox: str = "", url: str = "", **fields: Any) -> httpx.Response:
        """One request by hand; `sandbox` names faults for the provider."""
        head = {"authorization": f"Bearer {key or self.key}"} | ({"x-sandbox": sandbox} if sandbox else {})
        return httpx.post(
            f"{url or self.gateway_url}/v1/chat/completions", json=body(**fields), headers=head, timeout=30
        )

    def entries(self) -> list[LedgerEntry]:
        return list(LedgerEntry.objects.filter(organization_id=self.organization.id).order_by("booked_at", "id"))

    def events(self) -> list[SpendEvent]:
        return list(SpendEvent.objects.filter(organization_id=self.organization.id).order_by("booked_at", "id"))

    def reservations(self) -> list[Reservation]:
        return list(Reservation.objects.filter(organization_id=self.organization.id).order_by("id"))

    def wait_for_open(self, seconds: float = 5) -> None:
        """Until a request of its holds money."""
        deadline = time.monotonic() + seconds
        while not any(one.state == "open" for one in self.reservations()):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def wait_for_ends(self, count: int, seconds: float = 10) -> list[Reservation]:
        """The reservations, once that many have ended and none is open."""
        deadline = time.monotonic() + seconds
        while True:
            reservations = self.reservations()
            if len(reservations) >= count and all(one.state != "open" for one in reservations):
                return reservations
            assert time.monotonic() < deadline, [one.state for one in reservations]
            time.sleep(0.02)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}], **fields}


def make_company(gateway_url: str, *, grants: tuple[str, ...] = ("openai/*",), **fields: Any) -> Company:
    slug = f"company-{next(_numbers)}"
    organization = create_organization(slug=slug, name=slug.title(), acting="test", **fields)
    create_default_accounts(organization, acting="test")
    actor = create_unit(organization=organization, kind="agent", name="Ada's agent", acting="test")
    issued = issue(organization=organization, actor=actor, grants=grants, acting="test")
    return Company(organization, actor, issued, gateway_url)
