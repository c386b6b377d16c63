"""The limits under any pattern of use: never more than allowed, never less than promised."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.core.limiter import DAY, HOUR, Bucket, Limiter, TooManyNewContacts

PAUSES = st.lists(st.sampled_from([0.0, 0.1, 0.9, 1.0, 30.0, 61.0, 800.0, 5000.0]), min_size=1, max_size=300)
RATES = st.sampled_from([0.01, 0.5, 1.0, 7.3])
BURSTS = st.integers(1, 40)


def within(times: list[float], seconds: float) -> int:
    """The most that fell into any span of that length."""
    return max((len([t for t in times if start <= t < start + seconds]) for start in times), default=0)


@given(PAUSES, RATES, BURSTS)
def test_never_more_than_burst_and_rate(pauses: list[float], rate: float, burst: int) -> None:
    """In no span of time does a bucket give more than its burst and what the rate adds in that span."""
    bucket, now, given_at = Bucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            given_at.append(now)
    for seconds in (1.0, 60.0, 1000.0):
        assert within(given_at, seconds) <= burst + rate * seconds + 1e-6


@given(PAUSES, RATES, BURSTS)
def test_keeps_its_promise(pauses: list[float], rate: float, burst: int) -> None:
    """Whoever waits as long as he is told gets a token then, and got none an instant before."""
    bucket, now = Bucket(rate, burst), 0.0
    for pause in pauses:
        now += pause
        while not bucket.take(now):
            wait = bucket.wait(now)
            assert 0 < wait <= 1 / rate + 1e-6
            assert not bucket.take(now + wait * 0.5)
            now += wait * 0.5 + bucket.wait(now + wait * 0.5) + 1e-6


@given(PAUSES, st.data())
def test_new_contacts_stay_within_hour_and_day(pauses: list[float], data: st.DataObject) -> None:
    """However it is used and restarted, an account begins few conversations an hour and a day."""
    limiter, now, begun = Limiter(per_minute=0), 1e9, []
    for pause in pauses:
        now += pause
        if data.draw(st.integers(0, 9)) == 0:
            restarted = Limiter(per_minute=0)
            restarted.load(limiter.save(), now)
            limiter = restarted
        with contextlib.suppress(TooManyNewContacts):
            assert 0.0 == limiter.ask(now, new_contact=True)
            begun.append(now)
    assert within(begun, HOUR) <= 5 + 5
    assert within(begun, DAY) <= 20 + 20


@given(st.text(), st.floats(0, 1e10))
def test_any_record_can_be_loaded(text: str, now: float) -> None:
    """Whatever stands in the journal, the limits work."""
    limiter = Limiter()
    limiter.load(text, now)
    limiter.ask(now + DAY, new_contact=True)
