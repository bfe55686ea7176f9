"""One random history, told to the database and to the reference at once, and compared after every step."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from apps.budgets import capping, ending, expiring, forgetting, overriding, seeding
from apps.budgets.models import Budget
from spendra.kernel.errors import Conflict, NotFound
from spendra.kernel.ids import uuid7
from tests.budgets import money
from tests.databases import Database
from tests.simulator.company import START, Company, Gateway
from tests.simulator.reference import Override

FAR_AWAY = START + timedelta(days=100)
PERIOD_KINDS = ("total", "day", "week", "month", "year", "minute", "hour")
APPROVALS = [str(UUID(int=number)) for number in range(1, 7)]


class World(Company):
    def __init__(self, database: Database, seed: int) -> None:
        super().__init__(database, seed)
        self.steps: list[tuple[int, Callable[[], str]]] = [
            (30, self.reserve), (16, self.end), (6, self.sweep), (6, self.heartbeat), (6, self.new_cap),
            (5, self.move_cap), (1, self.archive_cap), (26, self.reload), (5, self.time_passes), (4, self.boundary),
            (2, self.crash), (4, self.lost_reply), (3, self.rolled_back), (2, self.failover), (3, self.end_by_hand),
            (4, self.seed_waiting), (4, self.decided_before), (4, self.reserve_by_approval), (4, self.override),
            (2, self.end_override), (4, self.forget),
        ]  # fmt: skip

    def step(self) -> str:
        weights = [weight for weight, _ in self.steps]
        [(_, act)] = self.random.choices(self.steps, weights)
        told = act()
        self.compare()
        return f"{act.__name__}: {told}"

    # What gateways do

    def reserve(self) -> str:
        gateway = self.random.choice(self.gateways)
        return self._reserve([self._request(gateway) for _ in range(self.random.randint(1, 5))])

    def reserve_by_approval(self) -> str:
        return self._reserve([self._request(self.random.choice(self.gateways), self.random.choice(APPROVALS))])

    def decided_before(self) -> str:
        """Decided, then overtaken by the clock: a boundary may lie between."""
        requests = [self._request(self.random.choice(self.gateways))]
        self.random.choice([self.time_passes, self.boundary])()
        return self._reserve(requests)

    def lost_reply(self) -> str:
        """Nobody learns what became of it: it is asked again with the same id, or voided."""
        request = self._request(self.random.choice(self.gateways))
        if self.random.random() < 0.7:
            self._reserve([request])
        if self.random.random() < 0.5:
            return self._reserve([request, request])
        return self._end([self._ending(request, "void")])

    def rolled_back(self) -> str:
        """The backend dies before its commit."""
        request = self._request(self.random.choice(self.gateways))
        self.connection.execute("BEGIN")
        verdict = money.verdict(self.connection, request["asked"])
        self.connection.execute("ROLLBACK")
        return verdict

    def end(self) -> str:
        """Mostly of what was granted lately; some once more, long after."""
        requests = [self.random.choice(self.granted) for _ in range(self.random.randint(1, 3)) if self.granted]
        recent = [request for request in self.granted[-12:] if self.random.random() < 0.3]
        kinds = self.random.choices(["settle", "void", "expire"], [8, 2, 1], k=len(requests) + len(recent))
        return self._end([self._ending(*pair) for pair in zip(requests + recent, kinds, strict=True)])

    def heartbeat(self) -> str:
        for gateway in self.gateways:
            if self.random.random() < 0.8:
                money.beat(self.connection, gateway.process)
                self.books.seen[gateway.process] = self.books.now
        return "beats"

    def crash(self) -> str:
        place = self.random.randrange(len(self.gateways))
        self.gateways[place] = Gateway()
        return f"gateway {place} is another process now"

    def reload(self) -> str:
        gateway = self.random.choice(self.gateways)
        gateway.version = self.books.version
        gateway.tokens = money.tokens_of(self.connection, self.organization)
        gateway.caps = [cap for cap in self.books.caps.values() if not cap.is_archived]
        return f"version {gateway.version}, {len(gateway.caps)} caps"

    # What happens to them

    def time_passes(self) -> str:
        return self._advance(timedelta(seconds=self.random.choice([1, 10, 29, 31, 300, 3600])))

    def boundary(self) -> str:
        ends = [window.ends_at for window in self.books.windows.values() if self.books.now < window.ends_at < FAR_AWAY]
        if not ends:
            return "none"
        edge = min(ends) - self.books.now
        return self._advance(
            edge + self.random.choice([timedelta(0), timedelta(microseconds=-1), timedelta(seconds=2)])
        )

    def failover(self) -> str:
        """The newest open reservation was never replicated."""
        open_now = [held for held in self.books.held.values() if held.state == "open"]
        if not open_now:
            return "nothing to lose"
        lost = open_now[-1]
        for name in self.ids.keys() & lost.windows:
            self.connection.execute(
                "UPDATE budgets_period p SET reserved = reserved - CASE b.measure WHEN 'nanos' THEN %s "
                "WHEN 'tokens' THEN %s ELSE 1 END FROM budgets_budget b WHERE b.id = p.budget_id AND p.id = %s",
                (lost.nanos, lost.tokens, self.ids[name]),
            )
        self.connection.execute("DELETE FROM budgets_reservation WHERE id = %s", (lost.id,))
        self.connection.execute("DELETE FROM policies_approvaluse WHERE reservation_id = %s", (lost.id,))
        self.books.lose(lost)
        return lost.id

    # What people and the worker do

    def sweep(self) -> str:
        expected = self.books.sweep()
        assert expiring.sweep() == expected
        return f"{expected} expired"

    def end_by_hand(self) -> str:
        held = self.random.choice([*self.books.held.values(), None])
        id = UUID(held.id) if held else uuid7()
        told = "nothing"
        with suppress(Conflict, NotFound):
            ending.end_by_hand(id, organization=self.organization, acting="ann@example.com", reason="simulated")
            told = "expired"
        expected = "nothing"
        if held and held.state == "open":
            expected = self.books.end(held, "expire", 0, 0, by_hand=True) or "nothing"
        assert told == expected
        return told

    def new_cap(self) -> str:
        if len([cap for cap in self.books.caps.values() if not cap.is_archived]) > 7:
            return "enough"
        unit = self.random.choice([None, None, *self.units])
        each = self.random.choice(["", "", "", "employee"]) if unit is None or unit.kind == "team" else ""
        measure, amount = self.random.choice([("nanos", 3000), ("nanos", 900), ("requests", 12), ("tokens", 150)])
        budget = capping.set_cap(
            organization=self.organization, unit=unit, applies_to_each=each, measure=measure,
            period_kind=self.random.choice(PERIOD_KINDS), amount=self.random.randint(amount // 3, amount * 3),
            hardness=self.random.choice(["hard", "hard", "soft"]), counts_from_now=self.random.random() < 0.3,
            acting="ann@example.com",
        )  # fmt: skip
        return self._learn_cap(budget)

    def move_cap(self) -> str:
        cap = self._any_cap()
        if cap is None:
            return "no cap"
        cap.amount = max(0, cap.amount + self.random.randint(-cap.amount, cap.amount))
        before = Budget.objects.get(id=cap.id).amount
        capping.change_amount(self.budgets[cap.id], amount=cap.amount, acting="ann@example.com")
        self.books.version += before != cap.amount
        return f"{before} to {cap.amount}"

    def archive_cap(self) -> str:
        cap = self._any_cap()
        if cap is None:
            return "no cap"
        capping.archive_cap(UUID(cap.id), organization=self.organization, acting="ann@example.com")
        cap.is_archived = True
        self.books.version += 1
        return cap.id

    def override(self) -> str:
        cap = self._any_cap()
        if cap is None:
            return "no cap"
        starts = self.random.choice([None, None, timedelta(minutes=2), timedelta(hours=2)])
        starts_at = self.books.now + (starts or timedelta(0))
        ends_at = starts_at + self.random.choice([timedelta(seconds=10), timedelta(hours=1), timedelta(days=40)])
        wanted = Override(self.random.randint(0, cap.amount * 2), starts_at, ends_at)
        try:
            given = overriding.override_cap(
                UUID(cap.id), organization=self.organization, amount=wanted.amount, starts_at=starts and starts_at,
                ends_at=ends_at, acting="ann@example.com", reason="simulated",
            )  # fmt: skip
        except Conflict:
            assert not self.books.override(cap, "refused", wanted)
            return "overlaps"
        assert self.books.override(cap, str(given.id), wanted)
        return f"{wanted.amount} instead of {cap.amount} until {ends_at}"

    def end_override(self) -> str:
        given = [override for cap in self.books.caps.values() for override in cap.overrides.items()]
        if not given:
            return "none"
        id, override = self.random.choice(given)
        overriding.end_override(UUID(id), organization=self.organization, acting="ann@example.com")
        self.books.end_override(override)
        return id

    def forget(self) -> str:
        over = self.books.forget()
        for name in over:
            del self.ids[name]
        assert forgetting.forget_short_periods() == len(over)
        return f"{len(over)} forgotten"

    def seed_waiting(self) -> str:
        names = [name for name, window in self.books.windows.items() if window.is_seeding]
        for name in sorted(names, key=self.ids.__getitem__):
            self.books.seed(name)
        assert seeding.seed_waiting() == len(names)
        return f"{len(names)} filled"
