"""Plans over all accounts of a gateway: who may start now, and which of two resources of one owner counts.

Called by the drivers. The limits on starts and logins protect everybody: after a node's loss a hundred numbers must
not reconnect from one address in one second.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Final

from ponton_operator.plan.rollout import Turn
from ponton_operator.plan.values import Urgency
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.running import Rollout, Scaling

CALM: Final = 5.0  # seconds until the next look at those that a wave of bans holds back


@dataclass(frozen=True, slots=True)
class Ask:
    """One account that waits for its turn since a time (seconds since 1970); a paired one logs in at WhatsApp.

    `order` is who goes first: whom somebody waits for, then who has waited longest; of a rollout the paired ones, since
    they are few in a wave, and the rest of it waits for them. Kept, because thousands are sorted many times.
    """

    name: str
    urgency: Urgency
    since: float
    paired: bool = False
    order: tuple[int, bool, float, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the order."""
        rest = self.urgency is Urgency.ROLLOUT and not self.paired
        object.__setattr__(self, "order", (int(self.urgency), rest, self.since, self.name))


def ask(asks: dict[str, Ask], name: str, urgency: Urgency, now: float, *, paired: bool) -> None:
    """Let an account wait for its turn; one that asks again keeps its place, unless it asks for something else."""
    before = asks.get(name)
    since = before.since if before and before.urgency is urgency else now
    asks[name] = Ask(name, urgency, since, paired)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket at a moment."""

    tokens: float
    at: float

    def wait(self, rate: float) -> float:
        """Give the seconds until there is one to give; what rounding took is no reason to wait."""
        return 0.0 if self.tokens >= 1.0 - 1e-9 else (1.0 - self.tokens) / rate

    def without_one(self) -> "Bucket":
        """Take one out."""
        return replace(self, tokens=self.tokens - 1.0)

    def filled(self, now: float, rate: float, burst: float) -> "Bucket":
        """Add what came in since; a clock that went back adds nothing."""
        return Bucket(min(burst, self.tokens + max(0.0, now - self.at) * rate), now)


def logins_rate(scaling: Scaling) -> float:
    """Give how many accounts may log in at WhatsApp in a second, over all addresses that they come from."""
    return float(scaling.logins_per_second * scaling.egress_addresses)


@dataclass(frozen=True, slots=True)
class Rations:
    """What may still start, log in at WhatsApp, and be restarted for a rollout."""

    starts: Bucket
    logins: Bucket
    rollouts: Bucket

    @classmethod
    def full(cls, scaling: Scaling, now: float) -> "Rations":
        """Begin with a full burst of starts, a second's logins and one restart."""
        starts, logins = float(scaling.starts_burst), logins_rate(scaling)
        return cls(Bucket(starts, now), Bucket(logins, now), Bucket(1.0, now))

    def wait(self, scaling: Scaling, now: float) -> float:
        """Give the seconds until anybody can go on; 0.0: now."""
        rate = float(scaling.starts_per_second)
        return self.starts.filled(now, rate, float(scaling.starts_burst)).wait(rate)


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may go on now, what is left, and when to look again (None: nobody waits)."""

    names: tuple[str, ...]
    rations: Rations
    again: float | None


def admit(
    asks: Collection[Ask],
    rations: Rations,
    scaling: Scaling,
    rollout: Rollout,
    turn: Turn,
    now: float,
    *,
    bans: bool = False,
) -> Admission:
    """Let accounts go on: whom somebody waits for first, then who has waited longest; rollouts have their own limit.

    A rollout's restart takes a start (and a login), too, when its turn comes; it is let in only while those are left
    over, and while `turn` lets it. During a wave of `bans` nothing new is linked; what is linked may start again.
    """
    rates = (float(scaling.starts_per_second), logins_rate(scaling), rollout.restarts_per_minute / 60.0)
    starts = rations.starts.filled(now, rates[0], float(scaling.starts_burst))
    logins = rations.logins.filled(now, rates[1], rates[1])
    rollouts = rations.rollouts.filled(now, rates[2], 1.0)
    names: list[str] = []
    waits: list[float] = []
    start, login = starts.wait(rates[0]), logins.wait(rates[1])
    if start and asks:  # asked many times a second while thousands wait: they are not even put in order
        return Admission((), Rations(starts, logins, rollouts), now + max(start, 0.001))
    for ask in sorted(asks, key=attrgetter("order")):
        if start:  # nobody else can go
            waits.append(start)
            break
        if ask.paired and login:
            waits.append(login)
            continue
        if ask.urgency is Urgency.ROLLOUT:
            if not turn.lets(ask.name, paired=ask.paired):
                waits += [] if turn.again is None else [turn.again - now]
            elif wait := rollouts.wait(rates[2]):
                waits.append(wait)
            else:
                names.append(ask.name)
                rollouts = rollouts.without_one()
            continue
        if bans and not ask.paired:
            waits.append(CALM)
            continue
        names.append(ask.name)
        starts = starts.without_one()
        start = starts.wait(rates[0])
        if ask.paired:
            logins = logins.without_one()
            login = logins.wait(rates[1])
    again = now + max(min(waits), 0.001) if waits else None
    return Admission(tuple(names), Rations(starts, logins, rollouts), again)


@dataclass(slots=True)
class Owners:
    """Which resources link the same owner on the same gateway: an index, so that 10,000 accounts cost no scan."""

    _by_owner: dict[tuple[str, str], dict[str, tuple[float, str]]] = field(default_factory=dict)
    _keys: dict[str, tuple[str, str]] = field(default_factory=dict)

    def put(self, account: BridgeAccount) -> set[str]:
        """Take an account as it is now; gives the names whose twin may have changed."""
        name, key = account.metadata.name, (account.spec.gateway_ref.name, account.spec.owner)
        touched = self.drop(name) if self._keys.get(name, key) != key else set()
        made = account.metadata.creation_timestamp
        self._keys[name] = key
        group = self._by_owner.setdefault(key, {})
        group[name] = (made.timestamp() if made else float("inf"), name)
        return touched | (set(group) if len(group) > 1 else {name})

    def drop(self, name: str) -> set[str]:
        """Forget an account; gives the names whose twin may have changed."""
        key = self._keys.pop(name, None)
        group = self._by_owner.get(key, {}) if key else {}
        group.pop(name, None)
        if key and not group:
            self._by_owner.pop(key, None)
        return set(group)

    def twin(self, name: str) -> str:
        """Give the name of the resource that counts instead of this one: the oldest; '' if it is this one."""
        key = self._keys.get(name)
        group = self._by_owner.get(key, {}) if key else {}
        oldest = min(group, key=lambda other: group[other], default=name)
        return "" if oldest == name else oldest
