"""The plan of a rollout: which running shards may be restarted with a changed template now.

Paired accounts go in an order that the revision shuffles: canaries, then wave by wave, with a pause after each.
Accounts that are not paired have nothing to lose and go in any wave. Everything is read from the accounts' status and
from the gateway's (`wave`, `wave_revision`, `pairings_lost`), so a restarted operator goes on where the last one was.
Called by the drivers, whose limit on starts (`plan.fleet.admit`) asks it.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.model.states import Phase, Reason
from ponton_operator.plan.ends import CRASHING_FROM
from ponton_operator.resources.account import AccountStatus, BridgeAccount, Desired
from ponton_operator.resources.base import Truth, is_paused
from ponton_operator.resources.conditions import Own, Type
from ponton_operator.resources.conditions_gateway import Finding, GatewayType
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout

CANARY: Final = "Canary"
WAVE: Final = "Wave"  # and its number, from 1
DONE: Final = "Done"
STOPPED: Final = "Stopped"
OWN: Final = frozenset({GatewayType.PROGRESSING, GatewayType.ROLLOUT_STOPPED})  # the conditions that tell of it

# A shard that ends for good so soon after its start ended because of what it runs; later it may be the phone, a person.
JUDGED: Final = 300.0  # seconds
# These ends cost a paired account its link, or its service. Those of pairing, and what owners do themselves, do not.
LOSSES: Final = frozenset({
    Reason.LOGGED_OUT,
    Reason.PHONE_GONE,
    Reason.BANNED,
    Reason.OUTDATED,
    Reason.REPLACED,
    Reason.FENCED,
    Reason.STALE_STORE,
    Reason.FAILED,
})  # fmt: skip
LOOK: Final = 5.0  # seconds until the next look at a rollout that goes on
BACK: Final = 120.0  # seconds that a restarted shard has to be linked again, before a wave waits for it
LONG: Final = 600.0  # seconds without a link before a restart, after which the restart is not to blame
AWAY_PERCENT: Final = 1  # of the restarted accounts: so many may be without a link at any time
# With these reasons a shard is not ours to restart, whatever its revision.
_APART: Final = frozenset({Own.DUPLICATE, Own.WAITING_FOR_NODE})


@dataclass(frozen=True, slots=True)
class Member:
    """One account that takes part; `moved` is when its shard started, or ended (`runs` False), since 1970.

    `linked` is also true for one that had no link long before it moved: that says nothing about what it runs.
    """

    name: str
    revision: str
    moved: float
    runs: bool
    linked: bool
    paired: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What the rollout lets happen now; `wave`, `revision` and `lost` belong into the gateway's status.

    `names` are the paired accounts whose turn it is, `open`: others may be restarted too. `again` is when to look again
    (None: nothing comes before the gateway changes).
    """

    wave: str
    revision: str
    lost: int = 0
    names: frozenset[str] = frozenset()
    open: bool = False
    again: float | None = None

    def lets(self, name: str, *, paired: bool) -> bool:
        """Whether this account may be restarted now."""
        return name in self.names if paired else self.open

    def status(self, before: GatewayStatus) -> GatewayStatus:
        """Put it into the status of the gateway."""
        news = {
            "revision": self.revision,
            "wave": self.wave,
            "wave_revision": self.revision,
            "pairings_lost": self.lost,
        }
        return before.model_copy(update=news)


@dataclass(frozen=True, slots=True)
class Step:
    """A wave: the first `count` of the order, those of earlier waves included."""

    name: str
    count: int


def plan_rollout(
    accounts: Sequence[BridgeAccount],
    rollout: Rollout,
    revision: str,
    before: GatewayStatus,
    now: float,
    *,
    troubled: bool = False,
) -> Turn:
    """Say whose turn it is; `revision` is what a new shard would run, `troubled` holds everything back.

    It stops when more than `max_pairings_lost` restarted accounts have lost their link or crash. That number is kept,
    so it stays stopped until the template changes, or the host accepts the loss by a higher `max_pairings_lost`. It
    stops, too, while too many of the restarted have not come back in time; then it goes on by itself when they have.
    """
    losers = [account for account in accounts if has_lost(account, revision)]
    members = [found for account in accounts if (found := member(account))]
    members += [_loser(account) for account in losers if account.status.parking is not None]
    ours = before.wave_revision == revision
    lost = max(len(losers), before.pairings_lost if ours else 0)
    old = {m.name for m in members if m.runs and m.revision != revision}
    if not old:
        return Turn(DONE, revision, lost)
    order = in_order((m for m in members if m.paired), revision)
    steps = steps_of(rollout, len(order))
    at = next((i for i, step in enumerate(steps) if any(m.name in old for m in order[: step.count])), len(steps) - 1)
    spoilt = lost > rollout.max_pairings_lost
    if spoilt or rollout.paused:
        return Turn(STOPPED if spoilt else steps[at].name, revision, lost)
    late = _too_many_away([m for m in order if m.name not in old], rollout, now - BACK)
    if late or troubled:
        return Turn(STOPPED if late else steps[at].name, revision, lost, again=now + LOOK)
    reached = next((i for i, step in enumerate(steps) if ours and step.name == before.wave), 0)
    if at > reached:
        over = [m for m in order[: steps[at - 1].count] if m.name not in old]
        rested = max((m.moved for m in over), default=0.0) + rollout.pause_seconds
        if now < rested or _too_many_away(over, rollout, now):
            again = rested if now < rested else now + LOOK
            return Turn(steps[at - 1].name, revision, lost, open=True, again=again)
    names = frozenset(m.name for m in order[: steps[at].count] if m.name in old)
    return Turn(steps[at].name, revision, lost, names, open=True, again=now + LOOK)


def rollout_findings(turn: Turn, rollout: Rollout) -> list[Finding]:
    """Give what the conditions of the gateway say of it; see `put_findings`."""
    if turn.wave == DONE:
        return [Finding.ROLLED_OUT]
    if turn.wave == STOPPED:
        why = Finding.PAIRINGS_LOST if turn.lost > rollout.max_pairings_lost else Finding.SHARDS_NOT_READY
        return [Finding.ROLLOUT_HALTED, why]
    if rollout.paused:
        return [Finding.ROLLOUT_PAUSED]
    return [Finding.ROLLING_OUT if turn.names or not turn.open else Finding.WATCHING_WAVE]


def member(account: BridgeAccount) -> Member | None:
    """Read an account's part in a rollout; None when it has none: not served, or out of our hands."""
    status, shard = account.status, account.status.shard
    unwanted = account.metadata.deletion_timestamp is not None or account.spec.desired is not Desired.RUNNING
    if (
        shard is None
        or unwanted
        or status.parking is not None
        or status.reason in _APART
        or is_paused(account.metadata)
    ):
        return None
    moved, runs = (shard.ended or shard.started).timestamp(), shard.ended is None
    linked = (runs and status.phase == Phase.RUNNING) or _cut_since(status) < moved - LONG
    return Member(account.metadata.name, shard.revision, moved, runs, linked, status.paired)


def _cut_since(status: AccountStatus) -> float:
    """Give since when an account has no link, infinity if it has one or nothing is known."""
    cut = (c for c in status.conditions if c.type == Type.WHATSAPP_CONNECTED and c.status != Truth.TRUE)
    return next((c.last_transition_time.timestamp() for c in cut), math.inf)


def _loser(account: BridgeAccount) -> Member:
    """Keep the place of an account that has lost its link, so that its wave does not take another one instead."""
    shard = account.status.shard
    revision, started = (shard.revision, shard.started.timestamp()) if shard else ("", 0.0)
    return Member(account.metadata.name, revision, started, runs=False, linked=True, paired=True)


def has_lost(account: BridgeAccount, revision: str) -> bool:
    """Whether a shard of this revision has cost the account its link, or crashes since it runs this revision."""
    status, shard = account.status, account.status.shard
    if shard is None or shard.revision != revision:
        return False
    if status.parking is not None:
        lived = status.parking.since.timestamp() - shard.started.timestamp()
        return status.parking.reason in LOSSES and lived <= JUDGED
    return status.retry.failures >= CRASHING_FROM and status.retry.revision == revision


def in_order(members: Iterable[Member], revision: str) -> list[Member]:
    """Give the order in which accounts get a revision: another one each time, so that nobody is always the canary."""
    return sorted(members, key=lambda m: hashlib.sha256(f"{revision}\n{m.name}".encode()).digest())


def steps_of(rollout: Rollout, paired: int) -> list[Step]:
    """Give the waves over so many paired accounts; the last one takes all that are left.

    >>> [(step.name, step.count) for step in steps_of(Rollout(canary_percent=1, wave_percents=(5, 25, 100)), 50)]
    [('Canary', 1), ('Wave1', 3), ('Wave2', 13), ('Wave3', 50)]
    """
    steps = [Step(CANARY, max(1, paired * rollout.canary_percent // 100))] if rollout.canary_percent else []
    most = steps[0].count if steps else 0  # many canaries may be more than the first wave
    for number, percent in enumerate(rollout.wave_percents, 1):
        most = max(most, -(-paired * percent // 100))
        steps.append(Step(f"{WAVE}{number}", most))
    return steps


def _too_many_away(members: Sequence[Member], rollout: Rollout, since: float) -> bool:
    """Whether too many of those that moved before a time have no link."""
    away = sum(not m.linked for m in members if m.moved <= since)
    return away > max(rollout.max_pairings_lost, len(members) * AWAY_PERCENT // 100)
