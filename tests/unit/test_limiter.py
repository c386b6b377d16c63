"""The limits on what an account sends."""

import pytest

from ponton_bridge.core.limiter import Bucket, Limiter, TooManyNewContacts, in_words


def test_gives_the_burst_then_the_rate() -> None:
    """A full bucket gives its burst at once, then one token for each turn of its rate."""
    bucket = Bucket(rate=2.0, burst=3)
    assert [True, True, True, False] == [bucket.take(10.0) for _ in range(4)]
    assert 0.5 == bucket.wait(10.0)
    assert not bucket.take(10.4)
    assert bucket.take(10.5)


def test_never_holds_more_than_the_burst() -> None:
    """A long rest does not pile up tokens."""
    bucket = Bucket(rate=1.0, burst=2)
    bucket.take(0.0)
    assert [True, True, False] == [bucket.take(1e6) for _ in range(3)]


def test_asking_takes_nothing() -> None:
    """Asking how long to wait leaves the token where it is."""
    bucket = Bucket(rate=1.0, burst=1)
    assert [0.0, 0.0] == [bucket.wait(5.0), bucket.wait(5.0)]
    assert bucket.take(5.0)


def test_rate_zero_is_off() -> None:
    """A bucket without a rate always gives."""
    bucket = Bucket(rate=0.0, burst=0)
    assert all(bucket.take(0.0) for _ in range(1000))
    assert 0.0 == bucket.wait(0.0)


def test_a_clock_going_back_gives_nothing() -> None:
    """A step back in time neither refills nor locks the bucket."""
    bucket = Bucket(rate=1.0, burst=1)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert bucket.take(51.0)


def test_a_human_burst_goes_at_once() -> None:
    """Thirty lines in a second are sent, the thirty-first waits a second."""
    limiter = Limiter()
    assert [0.0] * 30 == [limiter.ask(0.0, new_contact=False) for _ in range(30)]
    assert 1.0 == pytest.approx(limiter.ask(0.0, new_contact=False))
    assert 0.0 == limiter.ask(1.0, new_contact=False)


def test_new_contacts_by_the_hour() -> None:
    """The sixth new conversation of an hour is refused with a sentence that says when."""
    limiter = Limiter()
    for _ in range(5):
        assert 0.0 == limiter.ask(0.0, new_contact=True)
    with pytest.raises(TooManyNewContacts, match=r"5 an hour and 20 a day.*Write again in 12 minutes"):
        limiter.ask(0.0, new_contact=True)
    assert 0.0 == limiter.ask(0.0, new_contact=False)
    assert 0.0 == limiter.ask(720.0, new_contact=True)


def test_new_contacts_by_the_day() -> None:
    """Twenty-five new conversations do not fit into a day, however they are spread over it."""
    limiter = Limiter(contacts_per_hour=0)
    sent = [limiter.ask(0.0, new_contact=True) for _ in range(20)]
    assert [0.0] * 20 == sent
    with pytest.raises(TooManyNewContacts, match=r"only 20 a day .* in 2 hours"):
        limiter.ask(0.0, new_contact=True)


def test_a_wait_counts_nothing() -> None:
    """Whoever is told to wait has used up no new contact."""
    limiter = Limiter(per_minute=60, burst=1, contacts_per_hour=1)
    assert 0.0 == limiter.ask(0.0, new_contact=False)
    assert 1.0 == limiter.ask(0.0, new_contact=True)
    assert 0.0 == limiter.ask(1.0, new_contact=True)


def test_off_with_zero() -> None:
    """A host may switch every limit off."""
    limiter = Limiter(per_minute=0, burst=0, contacts_per_hour=0, contacts_per_day=0)
    assert {0.0} == {limiter.ask(0.0, new_contact=True) for _ in range(500)}


def test_a_restart_refills_nothing() -> None:
    """What was used is still used after saving and loading; time that passed counts."""
    before, after = Limiter(), Limiter()
    for _ in range(5):
        before.ask(1000.0, new_contact=True)
    after.load(before.save(), 1000.0)
    with pytest.raises(TooManyNewContacts):
        after.ask(1000.0, new_contact=True)
    assert 0.0 == after.ask(1000.0 + 720, new_contact=True)


@pytest.mark.parametrize("text", ["", "x", "1 2 3", "1 2 3 4 5 y", "1 2 3 4 5 6 7 8", "0 9e9 0 9e9 0 9e9"])
def test_reads_what_it_can(text: str) -> None:
    """An unreadable record, or one from the future, counts as nothing used."""
    limiter = Limiter()
    limiter.load(text, 1000.0)
    assert 0.0 == limiter.ask(1000.0, new_contact=True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "a minute"), (60, "a minute"), (3540, "59 minutes"), (3600, "an hour"), (3601, "2 hours")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    """Waiting times are rounded up and said as people say them."""
    assert words == in_words(seconds)
