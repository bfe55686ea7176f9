"""One request on its way through admission: who asks, what was tried already, and how long it goes on."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from apps.gateway.deciding import Decided, decide
from apps.gateway.estimates import estimate_of
from apps.gateway.parsing import ChatRequest
from apps.gateway.refused import Asked
from apps.gateway.routing import Route
from apps.gateway.rules import CatalogRules, KeyRule, OrganizationRules
from spendra.kernel.errors import Busy

# docs/decisions/0005-how-long-a-request-follows-its-rules.md
MOVING_RULES_SECONDS = 5
SAME_RULES_BEFORE_GIVING_UP = 3
SEEDINGS_BEFORE_GIVING_UP = 3

# A key with the rules it stands in.
Known = tuple[OrganizationRules, CatalogRules, KeyRule]


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """Who asks, before anything is believed. Without a repr: `presented` holds a secret."""

    presented: str
    address: str
    asked: Asked

    @property
    def request_id(self) -> str:
        return self.asked.request_id


class Patience:
    """How long one request follows its rules: while they move, for a time; rules that failed it and are in force all
    the same, a few times. Postgres was asked before each, so that changes and what follows them go at the same pace."""

    def __init__(self) -> None:
        self._until = time.monotonic() + MOVING_RULES_SECONDS
        self._failed: dict[tuple[str, str], int] = {}

    def spend(self, rules: OrganizationRules, catalog: CatalogRules) -> None:
        """Busy where there is none left."""
        tokens = (rules.token, catalog.token)
        failed = self._failed[tokens] = self._failed.get(tokens, 0) + 1
        if failed > SAME_RULES_BEFORE_GIVING_UP or time.monotonic() > self._until:
            raise Busy("the rules of this organization are changing; try again")


@dataclass(slots=True)
class Attempt:
    caller: Caller
    request: ChatRequest
    provider: str
    known: Known | None
    exact_input: int | None = None
    has_counted: bool = False
    has_waited: bool = False
    seedings: int = 0
    used_approvals: set[UUID] = field(default_factory=set)
    patience: Patience = field(default_factory=Patience)
    decided: Decided | None = None  # the latest that the rules said

    def decide(self, route: Route, at: datetime, *, exact_input: int | None) -> Decided:
        estimate = estimate_of(route, self.request, exact_input)
        return decide(route, estimate, tools=self.request.tools, at=at, used=self.used_approvals)

    def count_seeding(self) -> None:
        self.seedings += 1
        if self.seedings > SEEDINGS_BEFORE_GIVING_UP:
            raise Busy("a new budget is still counting what was spent before; try again")
