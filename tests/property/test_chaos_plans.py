"""The plans of a chaos run: as many as asked for, in time, the same again for the same seed."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.history import Direction
from tests.chaos.schedule import AIM, LASTS, OF_AN_ACCOUNT, Fault, schedule
from tests.chaos.traffic import BURST, GAP, traffic

SEEDS = st.integers(0, 2**32)
OWNERS = [f"o{n}" for n in range(5)]
CHATS = [(owner, contact) for owner in OWNERS for contact in ("bob", "eve")]
COUNTS = st.dictionaries(st.sampled_from(list(Fault)), st.integers(0, 20))


@given(SEEDS, COUNTS, st.floats(60, 2000))
def test_faults_as_asked_for(seed: int, counts: dict[Fault, int], seconds: float) -> None:
    """Every fault so many times, in order, within the time; those of an account name one, spread evenly."""
    strikes = schedule(seed, counts, OWNERS, seconds)
    assert {k: n for k, n in counts.items() if n} == Counter(strike.fault for strike in strikes)
    assert sorted(strike.at for strike in strikes) == [strike.at for strike in strikes]
    assert all(0 <= strike.at <= seconds for strike in strikes)
    for strike in strikes:
        low, high = LASTS.get(strike.fault, (0.0, 0.0))
        assert low <= strike.seconds <= high
        assert strike.aimed is None or (strike.fault is Fault.SHARD_KILLED and 0 <= strike.aimed <= AIM)
        assert (strike.fault in OF_AN_ACCOUNT) == (strike.owner is not None)
    assert counts.get(Fault.SHARD_KILLED, 0) // 2 == sum(strike.aimed is not None for strike in strikes)
    for fault in OF_AN_ACCOUNT:
        hits = Counter(strike.owner for strike in strikes if strike.fault is fault)
        assert not hits or max(hits.values()) - min(hits[owner] for owner in OWNERS) <= 1
    assert strikes == schedule(seed, counts, OWNERS, seconds)


@given(SEEDS, st.integers(0, 200), st.floats(1, 2000))
def test_traffic_as_asked_for(seed: int, each_way: int, seconds: float) -> None:
    """So many messages each way, numbered without gaps in the order of their times, the last burst not far behind."""
    sends = traffic(seed, CHATS, each_way, seconds)
    assert {way: each_way for way in Direction if each_way} == Counter(send.token.direction for send in sends)
    numbers = defaultdict(list)
    for send in sends:
        assert 0 <= send.at <= seconds + BURST * GAP[1]
        numbers[send.token.owner, send.token.contact, send.token.direction].append(send.token.number)
    assert all(list(range(len(found))) == found for found in numbers.values())
    assert sends == traffic(seed, CHATS, each_way, seconds)


@given(SEEDS)
def test_another_seed_is_another_storm(seed: int) -> None:
    """Two seeds do not give the same plans."""
    counts = dict.fromkeys(Fault, 3)
    assert schedule(seed, counts, OWNERS, 600) != schedule(seed + 1, counts, OWNERS, 600)
    assert traffic(seed, CHATS, 50, 600) != traffic(seed + 1, CHATS, 50, 600)
