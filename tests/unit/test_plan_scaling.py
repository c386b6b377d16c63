"""The scaler's decision about one account, and alarms over all of them."""

from ponton_bridge.model.states import Reason
from ponton_operator.plan.alarms import (
    BAN_WINDOW,
    STORM_WINDOW,
    Alarms,
    Turns,
    find_alarms,
    read_alarms,
    read_turns,
)
from ponton_operator.plan.scaling import PodSeen, plan_scaling
from ponton_operator.plan.tiers import QUIET_AFTER, REST, Size, Use
from ponton_operator.resources.account import BridgeAccount, ScalingStatus
from ponton_operator.resources.base import Condition, Truth, moment
from ponton_operator.resources.conditions import Type
from ponton_operator.resources.running import Parking
from tests.unit.fleet_kit import EPOCH, MIB, NOW, beat, edited, parked, served, shard, turned, wished

SIZES = (Size("small", 256 * MIB), Size("large", 1024 * MIB))
HIGH = Use(epoch=EPOCH, beat=NOW - 10, memory=230 * MIB, high=1)
QUIET = Use(epoch=EPOCH, beat=NOW - 10, traffic=0, quiet_since=NOW - QUIET_AFTER)


def decide(
    account: BridgeAccount,
    mib: float = 50,
    use: Use = QUIET,
    pod: PodSeen | None = None,
    sizes: tuple[Size, ...] = SIZES,
) -> ScalingStatus | None:
    """Ask for the decision at NOW."""
    return plan_scaling(account, sizes, Parking(), beat(mib, NOW), use, pod, NOW).status


def test_at_rest_nothing_is_written() -> None:
    """An account in its first tier, with nothing to say about it, gets no status of the scaler at all."""
    assert None is decide(served())
    assert None is decide(served(), pod=PodSeen(EPOCH))
    assert None is plan_scaling(served(), SIZES, Parking(), None, Use(), None, NOW).status


def test_a_tier_is_written_with_its_time() -> None:
    """And what was counted begins anew."""
    decision = plan_scaling(served(), SIZES, Parking(), beat(230, NOW), HIGH, None, NOW)
    assert ScalingStatus(tier="large", since=moment(NOW)) == decision.status
    assert (0, 0.0) == (decision.use.high, decision.use.low_since)
    assert None is decide(wished(served(), decision.status), 1000, HIGH)


def test_without_tiers_none_is_chosen() -> None:
    """A gateway that lists none keeps all shards as they are."""
    assert None is decide(served(), 250, HIGH, sizes=())


def test_the_word_of_another_shard_counts_for_nothing() -> None:
    """A heartbeat that is not of the shard that runs now, or one of a shard that has ended, moves nothing."""
    other = served(shard=shard(epoch=EPOCH + 1))
    assert Use() == plan_scaling(other, SIZES, Parking(), beat(230, NOW), Use(), None, NOW).use
    assert None is decide(served(shard=shard(ended=NOW)), 230, HIGH)


def test_a_park_is_written_once_and_taken_back_after_the_wake() -> None:
    """With the wake that it was decided for."""
    idle = edited(served(paired=False, reason=Reason.WAITING_FOR_OWNER), wake=3)
    wish = decide(idle)
    assert ScalingStatus(park="NeverPaired", park_wake=3) == wish
    assert None is decide(wished(idle, wish))
    fresh = served(paired=False, reason=Reason.STARTING, shard=shard(started=NOW - 1))
    assert ScalingStatus() == decide(edited(wished(fresh, wish), wake=4))


def test_a_pod_that_cannot_be_resized_waits_until_it_is_quiet() -> None:
    """Then its epoch is marked; the mark goes when another epoch runs."""
    account = wished(served(), ScalingStatus(tier="large", since=moment(NOW - REST)))
    stuck = PodSeen(EPOCH, refused=True)
    assert None is decide(account, use=Use(epoch=EPOCH, beat=NOW - 10), pod=stuck)
    marked = decide(account, pod=stuck)
    assert marked is not None
    assert ("large", EPOCH) == (marked.tier, marked.recreate)
    assert None is decide(wished(served(), marked), pod=PodSeen(EPOCH))
    renewed = decide(wished(served(shard=shard(epoch=EPOCH + 1)), marked), pod=PodSeen(EPOCH + 1))
    assert renewed is not None
    assert ("large", 0) == (renewed.tier, renewed.recreate)
    assert None is decide(account, pod=PodSeen(EPOCH - 1, refused=True))


def many(count: int, *, bans: int = 0, turns: int = 0, at: float = NOW - 10, started: float = 0.0) -> list[Turns]:
    """Make a fleet of paired accounts, some of which were banned or lost their connection at a time."""
    banned = [
        served(
            f"b{n}",
            parking=parked(Reason.BANNED, at),
            shard=shard(ended=at),
            conditions=turned(Type.BANNED, at, Truth.TRUE),
        )
        for n in range(bans)
    ]
    lost = [
        served(f"t{n}", shard=shard(started=started), conditions=turned(Type.WHATSAPP_CONNECTED, at))
        for n in range(turns)
    ]
    everybody = banned + lost + [served(f"c{n}") for n in range(count - bans - turns)]
    return [read_turns(account) for account in everybody]


def test_several_bans_within_an_hour_are_a_wave() -> None:
    """Three on a small gateway, a percent on a large one; it is over when fewer than half of that are left."""
    calm = Alarms()
    assert not find_alarms(many(50, bans=2), calm, NOW).bans
    assert find_alarms(many(50, bans=3), calm, NOW).bans
    assert not find_alarms(many(1000, bans=9), calm, NOW).bans
    wave = find_alarms(many(1000, bans=10), calm, NOW)
    assert (True, 10) == (wave.bans, wave.banned)
    assert find_alarms(many(1000, bans=5), wave, NOW).bans
    assert not find_alarms(many(1000, bans=4), wave, NOW).bans
    assert not find_alarms(many(50, bans=9, at=NOW - BAN_WINDOW), calm, NOW).bans


def test_many_reconnections_at_once_are_a_storm() -> None:
    """A tenth of the paired accounts within five minutes, ten at least; shards that have only started do not count."""
    calm = Alarms()
    assert not find_alarms(many(20, turns=9), calm, NOW).storm
    assert find_alarms(many(20, turns=10), calm, NOW).storm
    assert not find_alarms(many(1000, turns=99), calm, NOW).storm
    storm = find_alarms(many(1000, turns=100), calm, NOW)
    assert (True, 100) == (storm.storm, storm.reconnecting)
    assert find_alarms(many(1000, turns=50), storm, NOW).storm
    assert not find_alarms(many(1000, turns=49), storm, NOW).storm
    assert not find_alarms(many(20, turns=20, started=NOW - 100), calm, NOW).storm
    assert not find_alarms(many(20, turns=20, at=NOW - STORM_WINDOW), calm, NOW).storm


def test_accounts_without_a_link_raise_no_alarm() -> None:
    """They have nothing to lose, and count in no share."""
    new = [served(f"n{n}", paired=False, conditions=turned(Type.WHATSAPP_CONNECTED, NOW)) for n in range(50)]
    assert Alarms() == find_alarms(map(read_turns, new), Alarms(), NOW)


def test_alarms_are_read_from_the_gateway() -> None:
    """As conditions, of which only those that are True count."""

    def said(kind: str, truth: Truth) -> Condition:
        return Condition(type=kind, status=truth, reason="Any", last_transition_time=moment(NOW))

    told = (said("ReconnectStorm", Truth.TRUE), said("BanWave", Truth.FALSE), said("Ready", Truth.TRUE))
    assert Alarms(storm=True) == read_alarms(told)
