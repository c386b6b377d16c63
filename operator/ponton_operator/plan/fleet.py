"""Plans over all accounts of a gateway: who may start now, and which of two resources of one owner counts.

Called by the drivers. The limit on starts protects everybody: after a node's loss a hundred numbers must not
reconnect from one address in one second.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ponton_operator.plan.values import Urgency
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.running import Rollout, Scaling


@dataclass(frozen=True, slots=True)
class Ask:
    """One account that waits for its turn since a time (seconds since 1970)."""

    name: str
    urgency: Urgency
    since: float


def ask(asks: dict[str, Ask], name: str, urgency: Urgency, now: float) -> None:
    """Let an account wait for its turn; one that asks again keeps its place, unless it asks for something else."""
    if name not in asks or asks[name].urgency is not urgency:
        asks[name] = Ask(name, urgency, now)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket at a moment."""

    tokens: float
    at: float

    @property
    def full_token(self) -> bool:
        """Whether there is one to give; what rounding took is no reason to wait."""
        return self.tokens >= 1.0 - 1e-9

    def filled(self, now: float, rate: float, burst: float) -> "Bucket":
        """Add what came in since; a clock that went back adds nothing."""
        return Bucket(min(burst, self.tokens + max(0.0, now - self.at) * rate), now)


@dataclass(frozen=True, slots=True)
class Rations:
    """What may still start, and be restarted for a rollout."""

    starts: Bucket
    rollouts: Bucket

    @classmethod
    def full(cls, scaling: Scaling, now: float) -> "Rations":
        """Begin with a full burst of starts and one restart."""
        return cls(Bucket(float(scaling.starts_burst), now), Bucket(1.0, now))


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may go on now, what is left, and when to look again (None: nobody waits)."""

    names: tuple[str, ...]
    rations: Rations
    again: float | None


def admit(asks: Iterable[Ask], rations: Rations, scaling: Scaling, rollout: Rollout, now: float) -> Admission:
    """Let accounts go on: whom somebody waits for first, then who has waited longest; rollouts have their own limit.

    A rollout's restart takes a start, too, when its turn comes; it is let in only while starts are left over.
    """
    rate, turn = float(scaling.starts_per_second), rollout.restarts_per_minute / 60.0
    starts = rations.starts.filled(now, rate, float(scaling.starts_burst))
    rollouts = rations.rollouts.filled(now, turn, 1.0)
    names, waits = [], []
    for ask in sorted(asks, key=lambda a: (a.urgency, a.since, a.name)):
        if ask.urgency is Urgency.ROLLOUT:
            if rollout.paused:
                continue
            if rollouts.full_token and starts.full_token:
                rollouts = replace(rollouts, tokens=rollouts.tokens - 1.0)
                names.append(ask.name)
            else:
                waits.append(max((1.0 - rollouts.tokens) / turn, (1.0 - starts.tokens) / rate))
        elif starts.full_token:
            starts = replace(starts, tokens=starts.tokens - 1.0)
            names.append(ask.name)
        else:
            waits.append((1.0 - starts.tokens) / rate)
    again = now + max(min(waits), 0.001) if waits else None
    return Admission(tuple(names), Rations(starts, rollouts), again)


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
