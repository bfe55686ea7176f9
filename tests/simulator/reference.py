"""The books as a child would keep them: one request after the other, no batches, no locks. Slow and obvious."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
PeriodName = tuple[str, str | None, str]


@dataclass
class Override:
    amount: int
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None

    def end(self) -> datetime:
        return max(self.starts_at, min(self.ends_at, self.ended_at or self.ends_at))


@dataclass
class Cap:
    id: str
    unit_id: str | None
    each: str
    measure: str
    period_kind: str
    is_hard: bool
    amount: int
    counts_from_now: bool
    created_at: datetime
    is_archived: bool = False
    overrides: dict[str, Override] = field(default_factory=dict)

    def in_force(self, at: datetime) -> int:
        given = [override for override in self.overrides.values() if override.starts_at <= at < override.end()]
        return given[0].amount if given else self.amount

    def is_short(self) -> bool:
        return self.period_kind in ("minute", "hour")


@dataclass
class Window:
    cap: Cap
    scope: str
    starts_at: datetime
    ends_at: datetime
    is_seeding: bool
    seeded: int = 0
    settled: int = 0
    reserved: int = 0


@dataclass
class Held:
    id: str
    scopes: list[str]
    nanos: int
    tokens: int
    windows: list[PeriodName]
    process: str
    reserved_at: datetime
    expires_at: datetime
    approval: str | None = None
    state: str = "open"
    cause: str = ""
    is_late: bool = False
    booked_nanos: int = 0
    booked_tokens: int = 0


@dataclass(frozen=True)
class Entry:
    reservation: str
    kind: str
    status: str
    cause: str
    nanos: int
    tokens: int


@dataclass
class Books:
    now: datetime
    version: int = 0
    caps: dict[str, Cap] = field(default_factory=dict)
    windows: dict[PeriodName, Window] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    seen: dict[str, datetime] = field(default_factory=dict)
    used_approvals: dict[str, str] = field(default_factory=dict)

    def open_window(self, name: PeriodName, scope: str, starts_at: datetime, ends_at: datetime) -> None:
        cap = self.caps[name[0]]
        margin = timedelta(minutes=5) if cap.is_short() else DAY
        is_seeding = not cap.counts_from_now and cap.created_at + margin > starts_at
        self.windows.setdefault(name, Window(cap, scope, starts_at, ends_at, is_seeding))

    def seed(self, name: PeriodName) -> None:
        """Counts what the scope spent since the window began without naming it, and takes over what it still holds."""
        window = self.windows[name]
        if not window.is_seeding:
            return
        window.is_seeding = False
        mine = [
            held
            for held in self.held.values()
            if window.scope in held.scopes
            and window.starts_at <= held.reserved_at < window.ends_at
            and name not in held.windows
        ]
        for held in mine:
            window.seeded += sum(_spent(entry, window) for entry in self.entries if entry.reservation == held.id)
            if held.state == "open":
                held.windows.append(name)
                window.reserved += _asked(held, window)
        window.settled += window.seeded

    def reserve(self, wish: Held, version: int, valid_from: datetime, valid_until: datetime) -> str:
        if wish.id in self.held:
            return "granted" if self.held[wish.id].state == "open" else "ended"
        windows = [self.windows[name] for name in wish.windows]
        if version != self.version or not valid_from <= self.now < valid_until:
            return "stale"
        if not all(window.starts_at <= self.now < window.ends_at for window in windows):
            return "stale"
        told = {self._answer(window, _asked(wish, window)) for window in windows}
        for verdict in ("exceeded", "rate_limited", "in_flight"):
            if verdict in told:
                return verdict
        if wish.approval is not None:
            if wish.approval in self.used_approvals:
                return "approval_used"
            self.used_approvals[wish.approval] = wish.id
        for window in windows:
            window.reserved += _asked(wish, window)
        self.held[wish.id] = wish
        return "granted"

    def _answer(self, window: Window, asked: int) -> str:
        is_rate = window.cap.measure != "nanos" and window.cap.period_kind in ("minute", "hour", "day")
        cap = window.cap.in_force(self.now)
        if not window.cap.is_hard:
            return "granted"
        if window.settled + asked > cap:
            waits = is_rate and asked <= cap and not window.is_seeding
            return "rate_limited" if waits else "exceeded"
        if window.is_seeding:
            return "in_flight"
        if window.settled + window.reserved + asked <= cap:
            return "granted"
        return "rate_limited" if is_rate and window.cap.measure == "requests" else "in_flight"

    def end(self, wish: Held, kind: str, cost: int, tokens: int, *, by_hand: bool = False) -> str | None:
        held = self.held.get(wish.id)
        if held is None:
            return self._recover(wish, kind, cost, tokens)
        if held.state == "open":
            return self._end_open(held, kind, cost, tokens, by_hand=by_hand)
        if held.state == "expired" and not held.is_late and kind != "expire":
            held.is_late = True
            if kind == "void":
                self._free_approval(held)
            nanos, units = (0, 0) if kind == "void" else (cost, tokens)
            difference = nanos - held.booked_nanos, units - held.booked_tokens
            self._book(held, "correction", "final", f"late_{kind}", *difference)
            return "late"
        return f"already_{held.state}"

    def override(self, cap: Cap, id: str, wanted: Override) -> bool:
        """Whether it is accepted: there is no other for any of that time."""
        others = [other for other in cap.overrides.values() if other.starts_at < other.end()]
        if any(other.starts_at < wanted.ends_at and wanted.starts_at < other.end() for other in others):
            return False
        cap.overrides[id] = wanted
        self.version += 1
        return True

    def end_override(self, override: Override) -> None:
        if override.ended_at is None and self.now < override.ends_at:
            override.ended_at = self.now
            self.version += 1

    def forget(self) -> list[PeriodName]:
        """Windows of short rates that ended an hour ago and hold nothing: who still names them counts there no more."""
        over = [
            name
            for name, window in self.windows.items()
            if window.cap.is_short() and window.cap.measure != "nanos"
            and window.ends_at < self.now - HOUR and window.reserved == 0
        ]  # fmt: skip
        for name in over:
            del self.windows[name]
        return over

    def sweep(self) -> int:
        due = [held for held in self.held.values() if held.state == "open" and not self._lives(held)]
        for held in due:
            self._end_open(held, "expire", 0, 0, by_hand=False)
        holding = {held.process for held in self.held.values() if held.state == "open"}
        self.seen = {id: at for id, at in self.seen.items() if at >= self.now - DAY or id in holding}
        return len(due)

    def lose(self, held: Held) -> None:
        """A failover: the reservation was acknowledged, and the server that took over has never heard of it."""
        self._release(held)
        self._free_approval(held)
        del self.held[held.id]

    def summary(self) -> Counter[Entry]:
        return Counter(self.entries)

    def _lives(self, held: Held) -> bool:
        seen = self.seen.get(held.process)
        return held.expires_at > self.now and seen is not None and seen > self.now - timedelta(seconds=30)

    def _end_open(self, held: Held, kind: str, cost: int, tokens: int, *, by_hand: bool) -> str:
        if kind == "expire" and not by_hand and self._lives(held):
            return "alive"
        self._release(held)
        if kind == "void":
            held.state = held.cause = "voided"
            self._free_approval(held)
        elif kind == "expire":
            held.state, held.cause = "expired", "by_hand" if by_hand else "expired"
            self._book(held, "charge", "estimated", held.cause, held.nanos, held.tokens)
        else:
            held.state, held.cause = "settled", "overage" if cost > held.nanos else "settled"
            self._book(held, "charge", "final", held.cause, cost, tokens)
        return held.state

    def _recover(self, wish: Held, kind: str, cost: int, tokens: int) -> str | None:
        if kind == "expire":
            return None
        wish.reserved_at = self.now
        self.held[wish.id] = wish
        if kind == "void":
            wish.state, wish.cause = "voided", "tombstone"
            return "already_voided"
        wish.state, wish.cause = "settled", "recovered"
        self._book(wish, "charge", "final", "recovered", cost, tokens)
        return "recovered"

    def _free_approval(self, held: Held) -> None:
        self.used_approvals = {approval: id for approval, id in self.used_approvals.items() if id != held.id}

    def _windows(self, held: Held) -> list[Window]:
        return [self.windows[name] for name in held.windows if name in self.windows]

    def _release(self, held: Held) -> None:
        for window in self._windows(held):
            window.reserved -= _asked(held, window)

    def _book(self, held: Held, kind: str, status: str, cause: str, nanos: int, tokens: int) -> None:
        entry = Entry(held.id, kind, status, cause, nanos, tokens)
        self.entries.append(entry)
        held.booked_nanos += nanos
        held.booked_tokens += tokens
        for window in self._windows(held):
            window.settled += _spent(entry, window)


def _asked(held: Held, window: Window) -> int:
    return {"nanos": held.nanos, "tokens": held.tokens, "requests": 1}[window.cap.measure]


def _spent(entry: Entry, window: Window) -> int:
    requests = 1 if entry.kind == "charge" else -1 if entry.cause == "late_void" else 0
    return {"nanos": entry.nanos, "tokens": entry.tokens, "requests": requests}[window.cap.measure]
