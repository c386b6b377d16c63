"""What a page shows of a link: put together from resource, heartbeat and code; when it is something else."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.coordination.contract import Heartbeat, LiveCode
from ponton_bridge.model.states import TABLE, Next, Phase, Reason
from ponton_operator.resources.account import (
    AccountSpec,
    AccountStatus,
    BridgeAccount,
    Desired,
    GatewayRef,
    ParkingStatus,
)
from ponton_operator.resources.base import Condition, Metadata, Truth
from ponton_operator.selfservice import words
from ponton_operator.selfservice.web.keep import digest, fresh
from ponton_operator.selfservice.web.live import View, look

THEN = datetime(2026, 11, 20, tzinfo=UTC)
CODE = LiveCode("qr", "2@x", 1, 6, 1060.0)


def account(*, desired: Desired = Desired.RUNNING, parked: Reason | None = None, **status: Any) -> BridgeAccount:  # noqa: ANN401  # fields of the status
    """Make an account."""
    parking = ParkingStatus(reason=parked, since=THEN) if parked else None
    return BridgeAccount(
        metadata=Metadata(name="acc-1"),
        spec=AccountSpec(owner="alice@example.org", gateway_ref=GatewayRef(name="gw"), desired=desired),
        status=AccountStatus(parking=parking, **status),
    )


def beat(reason: Reason = Reason.CONNECTED, phone_seen: float = 900.0) -> Heartbeat:
    """Make a heartbeat of a running shard."""
    return Heartbeat(1, "i", 1000.0, reason, since=950.0, phone_seen=phone_seen)


def test_nobody_has_nothing() -> None:
    """Without an account the page says so, and offers no more."""
    view = look(None, None, None)
    assert (None, words.off_chat(words.NOT_REGISTERED), False) == (view.account, view.sentence, view.linked)


@pytest.mark.parametrize("reason", Reason)
def test_a_running_shard_has_the_last_word(reason: Reason) -> None:
    """Its own reason and time count, whatever the resource said last."""
    view = look(account(reason=Reason.STARTING), beat(reason), None)
    assert (reason, 950.0, words.off_chat(TABLE[reason].sentence)) == (view.reason, view.since, view.sentence)


def test_without_a_shard_the_resource_says_since_when() -> None:
    """Parked since it was parked; else since the condition turned."""
    assert THEN.timestamp() == look(account(parked=Reason.LOGGED_OUT), None, None).since
    turned = Condition(type="Ready", status=Truth.FALSE, reason="x", last_transition_time=THEN)
    assert THEN.timestamp() == look(account(conditions=(turned,)), None, None).since
    assert 0.0 == look(account(), None, None).since


def test_an_old_code_is_not_shown_without_its_shard() -> None:
    """A code that a dead shard has left is of no use."""
    assert look(account(), beat(Reason.WAITING_FOR_SCAN), CODE).code is CODE
    assert look(account(parked=Reason.CODES_USED_UP), None, CODE).code is None


def test_who_paused_reads_how_to_go_on() -> None:
    """The state is the owner's own doing, and the link is kept."""
    view = look(account(desired=Desired.PARKED, reason=Reason.PARKED, paired=True), None, None)
    assert view.paused
    assert words.off_chat(words.PAUSED) == view.sentence
    assert view.linked


@pytest.mark.parametrize(
    ("reason", "paired", "expected"),
    [
        (Reason.CONNECTED, True, True),
        (Reason.CONNECTION_LOST, True, True),
        (Reason.WAITING_FOR_SCAN, False, False),
        (Reason.LOGGED_OUT, True, False),
        (Reason.OUTDATED, True, True),
        (Reason.STALE_STORE, True, False),
        (Reason.BANNED, True, True),
    ],
)
def test_knows_whether_there_is_a_link_to_end(reason: Reason, paired: bool, expected: bool) -> None:  # noqa: FBT001  # rows
    """What is linked can be ended; what WhatsApp has ended cannot."""
    assert expected is look(account(paired=paired), beat(reason), None).linked


@settings(deadline=None)  # a busy machine is no fault
@given(st.sampled_from(Reason), st.sampled_from(Reason), st.booleans(), st.booleans())
def test_another_version_is_another_page(one: Reason, two: Reason, first: bool, second: bool) -> None:  # noqa: FBT001
    """The version differs exactly when state or code do; heartbeats alone change nothing."""
    views = [look(account(), beat(reason), CODE if coded else None) for reason, coded in ((one, first), (two, second))]
    assert ((one, first) == (two, second)) is (views[0].version == views[1].version)
    later = replace(beat(one, phone_seen=901.0), time=2000.0, rss=5, sent=9)
    assert views[0].version == look(account(), later, CODE if first else None).version


def test_counts_down_and_days() -> None:
    """Seconds of the code and days until WhatsApp ends the link; neither goes below zero."""
    view = View(account(), Reason.WAITING_FOR_SCAN, CODE, phone_seen=1000.0)
    assert [60, 1, 0] == [view.left(now) for now in (1000.0, 1058.5, 2000.0)]
    assert [14, 13, 0] == [view.days(1000.0 + days * 86400) for days in (0.5, 1.5, 40)]
    assert 0 == View().left(0.0)


def test_waits_only_for_what_comes_by_itself() -> None:
    """A page without a script asks again while something happens, and rests else."""
    waiting = {reason for reason in Reason if look(account(), beat(reason), None).waits}
    phases = {Phase.STARTING, Phase.WAITING_FOR_SCAN, Phase.CONNECTING}
    assert {reason for reason in Reason if TABLE[reason].phase in phases} == waiting


def test_there_is_a_word_for_every_next_step() -> None:
    """Whoever acts next is told."""
    assert set(Next) == set(words.NEXT)


def test_cookies_are_not_guessed_and_not_kept() -> None:
    """256 bits each, and only their hashes are written anywhere."""
    cookies = {fresh() for _ in range(100)}
    assert 100 == len(cookies)
    assert all(len(cookie) == 43 for cookie in cookies)
    assert digest("a", "b") != digest("ab", "")
