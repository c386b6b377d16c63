"""What the owner is told of a link, and what not."""

import pytest

from ponton_bridge.core.effects import Tell
from ponton_bridge.core.notices import PASSING, QUIET, Notices
from ponton_bridge.model.states import TABLE, Reason

T = 1_700_000_000.0
SILENT = [reason for reason in Reason if not TABLE[reason].tell]
LASTING = [reason for reason in Reason if TABLE[reason].tell and reason not in QUIET]


@pytest.mark.parametrize("reason", SILENT)
def test_says_nothing_of_what_is_as_expected(reason: Reason) -> None:
    """States that the table does not tell are not told."""
    assert [] == Notices().enter(reason, T)


@pytest.mark.parametrize("reason", LASTING)
def test_tells_what_lasts_each_time_it_is_entered(reason: Reason) -> None:
    """A state that somebody has to end is told whenever it begins."""
    notices = Notices()
    assert [Tell(reason, 7.0)] == notices.enter(reason, T, until=7.0)
    notices.enter(Reason.CONNECTING, T + 1)
    assert [Tell(reason)] == notices.enter(reason, T + 2)


@pytest.mark.parametrize("reason", sorted(QUIET))
def test_a_flap_is_told_once(reason: Reason) -> None:
    """Within its quiet time the same is not told again; after it, it is."""
    notices = Notices()
    assert [Tell(reason)] == notices.enter(reason, T)
    notices.enter(Reason.CONNECTED, T + 1)
    assert [] == notices.enter(reason, T + QUIET[reason] - 1)
    notices.enter(Reason.CONNECTED, T + QUIET[reason] - 0.5)
    assert [Tell(reason)] == notices.enter(reason, T + QUIET[reason])


@pytest.mark.parametrize("reason", sorted(PASSING))
def test_the_end_of_a_told_trouble_is_told(reason: Reason) -> None:
    """Whoever heard of a trouble hears of its end, once."""
    notices = Notices()
    notices.enter(reason, T)
    assert [] == notices.enter(Reason.CONNECTING, T + 1)
    assert [Tell(Reason.CONNECTED)] == notices.enter(Reason.CONNECTED, T + 2)
    assert [] == notices.enter(Reason.CONNECTED, T + 3)


@pytest.mark.parametrize("reason", [Reason.EVENTS_STALLED, Reason.PHONE_QUIET, Reason.NEW_CONTACTS_BLOCKED])
def test_what_has_no_end_to_tell(reason: Reason) -> None:
    """A hint is not followed by an all-clear."""
    notices = Notices()
    assert [Tell(reason)] == notices.enter(reason, T)
    assert [] == notices.enter(Reason.CONNECTED, T + 1)


def test_a_trouble_under_another_name() -> None:
    """One outage is told once, whichever way it shows; that it goes on for very long is told as well."""
    notices = Notices()
    assert [Tell(Reason.CONNECTION_REFUSED)] == notices.enter(Reason.CONNECTION_REFUSED, T)
    assert [] == notices.enter(Reason.KEEPALIVE_LOST, T + 1)
    assert [Tell(Reason.UNREACHABLE)] == notices.enter(Reason.UNREACHABLE, T + 5000)
    assert [Tell(Reason.CONNECTED)] == notices.enter(Reason.CONNECTED, T + 6000)


def test_a_loss_that_was_not_told_has_no_end_to_tell() -> None:
    """An outage inside the quiet time passes without a word."""
    notices = Notices()
    notices.enter(Reason.CONNECTION_REFUSED, T)
    notices.enter(Reason.CONNECTED, T + 1)
    notices.enter(Reason.CONNECTION_REFUSED, T + 2)
    assert [] == notices.enter(Reason.CONNECTED, T + 3)


def test_linking_is_told_once() -> None:
    """After linking, the first connection is told; the next ones are not."""
    notices = Notices()
    notices.linked()
    assert [] == notices.enter(Reason.CONNECTING, T)
    assert [Tell(Reason.CONNECTED)] == notices.enter(Reason.CONNECTED, T + 1)
    notices.enter(Reason.CONNECTION_LOST, T + 2)
    assert [] == notices.enter(Reason.CONNECTED, T + 3)


@pytest.mark.parametrize("reason", LASTING)
def test_a_restart_repeats_nothing(reason: Reason) -> None:
    """What was told before a crash is not told again by the next process, but it is when it comes anew."""
    notices = Notices(told=reason)
    notices.enter(Reason.STARTING, T)
    assert [] == notices.enter(reason, T + 1)
    assert [Tell(reason)] == notices.enter(reason, T + 2)


def test_a_restart_remembers_a_trouble() -> None:
    """A trouble told before a crash still has its end told after it."""
    notices = Notices(told=Reason.CONNECTION_REFUSED)
    assert [Tell(Reason.CONNECTED)] == notices.enter(Reason.CONNECTED, T)
