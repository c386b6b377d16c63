"""A day of 10,000 accounts on simulated time: what their shards need, and what the scaler and the fleet's limits do.

Used by test_scaling_day.py. Everything is drawn from one seed. Each account has a level of memory, awake hours, and
bursts of load that come at awake hours: memory climbs at some rate to some peak, stays, and falls slowly. Accounts
whose memory climbs towards the mark are looked at in each sweep, as by the real scaler; others, of which a look finds
nothing new, less often: at rest every 40 minutes. Besides, some never link, lose WhatsApp or crash, and at noon a fifth
of the fleet has to log in anew.
"""

import heapq
import math
import random
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.coordination.contract import Heartbeat
from ponton_bridge.model.states import Reason
from ponton_operator.plan.fleet import Ask, Rations, admit, ask
from ponton_operator.plan.parking import kept_by_scaler
from ponton_operator.plan.rollout import DONE, Turn
from ponton_operator.plan.scaling import SWEEP, PodSeen, plan_scaling
from ponton_operator.plan.tiers import FIT, UP, UP_BEATS, Size, Use, size_of
from ponton_operator.plan.values import Urgency
from ponton_operator.resources.account import BridgeAccount, RetryStatus, ScalingStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.conditions import Type, phase_of
from ponton_operator.resources.running import Parking, Rollout, Scaling
from tests.unit.fleet_kit import MIB, NOW, edited, served, shard, turned, wished

DAY: Final = 86_400
REST: Final = 2400  # seconds between looks at an account whose memory does not change
FALLS: Final = 150  # seconds between looks while it stays at its peak, falls, or is far from the mark
NEAR: Final = 0.75  # of the limit of its tier
SIZES: Final = (Size("small", 256 * MIB), Size("middle", 512 * MIB), Size("large", 1024 * MIB))
SCALING: Final = Scaling(starts_per_second=20, starts_burst=20, logins_per_second=5, egress_addresses=2)
PARKING: Final = Parking(never_paired_minutes=60, unreachable_hours=168, crashing_hours=24)
HOLD: Final = 300  # seconds at the peak of a burst
FALL: Final = 900  # seconds back to the level
# A kubelet's work, and the sweep in which the mark was passed: what no scaler can be faster than.
REACTION: Final = (UP_BEATS + 1) * SWEEP


@dataclass(slots=True)
class Burst:
    """Memory climbs from a time on at so many MiB a second to a peak, reached at `top`; at `over` it is back."""

    began: float
    rate: float
    peak: float

    top: float
    over: float

    @classmethod
    def draw(cls, chance: random.Random, began: float, level: float) -> "Burst":
        """Draw one that begins at a time: most are slow and small, a few fast and large."""
        rate, grows = chance.lognormvariate(-1.2, 0.8), chance.lognormvariate(4.0, 0.9)
        top = began + grows / rate
        return cls(began, rate, level + grows, top, top + HOLD + FALL)

    def memory(self, level: float, now: float) -> float:
        """Give the MiB at a time within it."""
        if now <= self.top:
            return level + (now - self.began) * self.rate
        return self.peak - (self.peak - level) * max(0.0, now - self.top - HOLD) / FALL


@dataclass(slots=True)
class Boat:
    """One account: the resource, what is drawn for it, and what came of it."""

    account: BridgeAccount
    level: float
    bursts: list[Burst]
    use: Use = field(default_factory=Use)
    oom: float = 0.0
    moves: list[tuple[float, str, str]] = field(default_factory=list)
    parks: list[tuple[float, str]] = field(default_factory=list)

    @property
    def size(self) -> Size:
        """The tier that it has."""
        scaling = self.account.status.scaling
        return size_of(SIZES, scaling.tier if scaling else "")

    def burst(self, now: float) -> Burst | None:
        """Give the burst that goes on or comes next; those that are over are forgotten."""
        while self.bursts and self.bursts[0].over <= now:
            self.bursts.pop(0)
        return self.bursts[0] if self.bursts else None


@dataclass(frozen=True, slots=True)
class Kill:
    """A shard killed for its memory; `seconds` went by between the mark for a move and the limit.

    `since_down` went by since it was moved down, if that was its last move.
    """

    name: str
    at: float
    tier: str
    seconds: float
    since_down: float


@dataclass(slots=True)
class Day:
    """The fleet and its day; times are seconds since 1970, the day begins at NOW."""

    seed: int
    count: int
    boats: dict[str, Boat] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    decisions: int = 0
    _looks: list[tuple[float, str]] = field(default_factory=list)
    _asks: dict[str, Ask] = field(default_factory=dict)
    _rations: Rations = field(default_factory=lambda: Rations.full(SCALING, NOW))
    _events: list[tuple[float, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw the fleet."""
        chance = random.Random(self.seed)
        for number in range(self.count):
            name = f"acc-{number:05}"
            boat = self.boats[name] = _draw(name, chance)
            first = min([NOW + chance.uniform(0, REST), *(burst.began for burst in boat.bursts[:1])])
            self._looks.append((first, name))
        heapq.heapify(self._looks)

    def idle(self, name: str, minutes_ago: float) -> None:
        """Let an account have waited for its owner so long when the day begins."""
        account = served(name, paired=False, reason=Reason.WAITING_FOR_OWNER)
        self._become(name, account, shard=shard(started=NOW - 60 * minutes_ago))

    def unreachable(self, name: str, hours_ago: float) -> None:
        """Let an account have no way to WhatsApp since then."""
        account = served(name, reason=Reason.UNREACHABLE, shard=shard(started=NOW - 30 * DAY))
        self._become(name, account, conditions=turned(Type.WHATSAPP_CONNECTED, NOW - 3600 * hours_ago))

    def crashing(self, name: str, hours_ago: float) -> None:
        """Let an account crash since then."""
        retry = RetryStatus(failures=9, since=moment(NOW - 3600 * hours_ago), revision="r1")
        self._become(name, served(name, reason=Reason.CRASHING, retry=retry))

    def at(self, hour: float, what: str, name: str) -> None:
        """Let something happen: `wake`, `pair`, or `lost` (the shard's node)."""
        heapq.heappush(self._events, (NOW + 3600 * hour, what, name))

    def run(self) -> None:
        """Let the day pass."""
        clock = NOW
        while clock < NOW + DAY:
            clock += SWEEP
            while self._events and self._events[0][0] <= clock:
                _, what, name = heapq.heappop(self._events)
                self._happen(what, name, clock)
            self._admit(clock - SWEEP, clock)
            while self._looks[0][0] <= clock:
                _, name = heapq.heappop(self._looks)
                heapq.heappush(self._looks, (self._look(name, clock), name))

    # ---- inside --------------------------------------------------------------------------------------------

    def _become(self, name: str, account: BridgeAccount, **status: object) -> None:
        boat = self.boats[name]
        boat.bursts = []
        boat.account = account.model_copy(update={"status": account.status.model_copy(update=status)})

    def _look(self, name: str, now: float) -> float:
        """Do what the sweep does for one account; gives when to look at it again."""
        boat = self.boats[name]
        status = boat.account.status
        if status.shard is None or status.shard.ended is not None:
            return now + FALLS
        burst = boat.burst(now)
        memory = burst.memory(boat.level, now) if burst and burst.began <= now else boat.level
        if burst and memory * MIB >= boat.size.limit:
            self._kill(name, boat, burst, now)
            burst, memory = boat.burst(now), boat.level
        beat = Heartbeat(
            status.shard.epoch, "i", now, paired=1, queue_out=1, rss=int(memory * 1024), sent=int(now - NOW)
        )
        pod = PodSeen(status.shard.epoch, oom=boat.oom)
        decision = plan_scaling(boat.account, SIZES, PARKING, beat, boat.use, pod, now)
        boat.use = decision.use
        self.decisions += 1
        if decision.status is not None:
            before = boat.size.name
            status = status.model_copy(update={"scaling": decision.status})
            boat.account = boat.account.model_copy(update={"status": status})
            if boat.size.name != before:
                boat.moves.append((now, before, boat.size.name))
            self._park(boat, now)
        if burst is None:
            return now + REST
        if now < burst.began:
            return min(now + REST, max(now + SWEEP, burst.began))
        near = (NEAR * boat.size.limit / MIB - memory) / burst.rate  # seconds until there may be something to decide
        return now + (FALLS if burst.top <= now else min(FALLS, max(SWEEP, near)))

    def _kill(self, name: str, boat: Boat, burst: Burst, now: float) -> None:
        """Let the container start again in its pod, as the kubelet does; the burst is over."""
        boat.oom = now
        down = boat.moves and size_of(SIZES, boat.moves[-1][1]).limit > boat.size.limit
        since_down = now - boat.moves[-1][0] if down else math.inf
        climb = (1 - UP) * boat.size.limit / MIB / burst.rate
        self.kills.append(Kill(name, now, boat.size.name, climb, since_down))
        boat.bursts.remove(burst)

    def _park(self, boat: Boat, now: float) -> None:
        """Do what the accounts operator does."""
        status = boat.account.status
        if not kept_by_scaler(boat.account, status) or status.scaling is None or status.shard is None:
            return
        boat.parks.append((now, status.scaling.park))
        news = {"shard": status.shard.model_copy(update={"ended": moment(now)}), "reason": status.scaling.park}
        boat.account = boat.account.model_copy(update={"status": status.model_copy(update=news)})

    def _happen(self, what: str, name: str, now: float) -> None:
        boat = self.boats[name]
        status = boat.account.status
        if what == "wake":
            boat.account = edited(boat.account, wake=boat.account.spec.wake + 1)
            ask(self._asks, name, Urgency.PERSON, now, paired=status.paired)
        elif what == "pair":
            news = {"paired": True, "reason": Reason.CONNECTED, "phase": phase_of(Reason.CONNECTED)}
            boat.account = boat.account.model_copy(update={"status": status.model_copy(update=news)})
        elif status.shard is not None and status.shard.ended is None:
            boat.bursts = [burst for burst in boat.bursts if burst.began > now]  # a new process begins small
            news = {"shard": status.shard.model_copy(update={"ended": moment(now)})}
            boat.account = boat.account.model_copy(update={"status": status.model_copy(update=news)})
            ask(self._asks, name, Urgency.RESTART, now, paired=status.paired)

    def _admit(self, since: float, until: float) -> None:
        now = since
        while self._asks and now < until:
            waiting = self._asks
            admission = admit(waiting.values(), self._rations, SCALING, Rollout(), Turn(DONE, "r1"), now)
            self._rations = admission.rations
            for name in admission.names:
                self._start(name, now, paired=waiting.pop(name).paired)
            now = admission.again or until

    def _start(self, name: str, now: float, *, paired: bool) -> None:
        boat = self.boats[name]
        status = boat.account.status
        self.starts.append(now)
        if paired:
            self.logins.append(now)
        epoch = max(status.epoch + 1, int(now * 1000))
        reason = Reason.CONNECTED if paired else Reason.WAITING_FOR_OWNER
        news = {"epoch": epoch, "shard": shard(started=now, epoch=epoch), "parking": None, "reason": reason}
        boat.account = boat.account.model_copy(update={"status": status.model_copy(update=news)})


def _settled(level: float) -> ScalingStatus | None:
    """Give the tier that earlier days have brought."""
    size = next(size for size in SIZES if level * MIB <= size.limit * FIT)
    return None if size is SIZES[0] else ScalingStatus(tier=size.name, since=moment(NOW - DAY))


def _draw(name: str, chance: random.Random) -> Boat:
    """Draw an account: how large it is at rest, when its owner is awake, and its bursts."""
    drawn = chance.gauss(70, 8) if chance.random() < 0.9 else chance.lognormvariate(4.9, 0.35)
    level = min(400.0, max(40.0, drawn))
    morning = chance.gauss(7, 1.5)
    bursts: list[Burst] = []
    clock = NOW
    while True:
        clock += chance.expovariate(1 / (10 * 3600))
        if clock >= NOW + DAY - 1:
            return Boat(wished(served(name), _settled(level)), level, bursts)
        awake = math.sin(math.pi * ((clock - NOW) / 3600 - morning) / 16)  # 16 hours of day, 8 of night
        if chance.random() > max(0.05, awake):
            continue
        if not bursts or clock > bursts[-1].over:
            bursts.append(Burst.draw(chance, clock, level))
