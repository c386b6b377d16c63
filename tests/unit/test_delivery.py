"""The rules of repetition, as a table and as a walk: every message ends sent or refused, after few sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.core.delivery import SENDS, TROUBLES, NotLinked, Verdict, may_send, pause, refusal, verdict
from ponton_bridge.model.errors import Actor, HostError, OwnerError, PontonError, WhatsAppError
from ponton_bridge.model.states import TABLE, Next, Phase, Reason
from ponton_bridge.whatsapp import port

FAILURES = [
    port.NotConnected,
    port.SendUncertain,
    port.SendRefused,
    port.NewContactsBlocked,
    port.NotOnWhatsApp,
    WhatsAppError,
    OwnerError,
    HostError,
    PontonError,
]


@pytest.mark.parametrize(
    ("error", "unknown", "troubles", "expected"),
    [
        (port.NotConnected(), 0, 0, Verdict.WAIT),
        (port.NotConnected(), 9, 9, Verdict.WAIT),
        (port.SendUncertain(), 1, 0, Verdict.AGAIN),
        (port.SendUncertain(), 2, 0, Verdict.REFUSE),
        (port.SendRefused(), 0, 1, Verdict.REFUSE),
        (port.NewContactsBlocked(), 0, 1, Verdict.REFUSE),
        (port.NotOnWhatsApp(), 0, 1, Verdict.REFUSE),
        (WhatsAppError(), 0, 1, Verdict.AGAIN),
        (WhatsAppError(), 0, TROUBLES, Verdict.REFUSE),
        (OwnerError(), 0, 1, Verdict.REFUSE),
        (PontonError(), 0, 1, Verdict.REFUSE),
    ],
)
def test_each_failure_has_its_verdict(error: PontonError, unknown: int, troubles: int, expected: Verdict) -> None:
    """Waits without a connection, repeats a silence once and a trouble some times, refuses the rest at once."""
    assert expected is verdict(error, unknown, troubles)


@given(st.lists(st.sampled_from(FAILURES), min_size=30, max_size=60), st.booleans())
def test_every_message_comes_to_an_end(failures: list[type[PontonError]], keeps_id: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    """Is sent without an answer at most so often, whatever goes wrong in whatever order, and never for ever."""
    unknown = troubles = 0
    decision = Verdict.AGAIN
    for failure in failures:
        error = failure()
        unknown += isinstance(error, port.SendUncertain)
        troubles += not isinstance(error, port.NotConnected | port.SendUncertain)
        decision = verdict(error, unknown, troubles, keeps_id=keeps_id)
        if decision is Verdict.REFUSE:
            break
    assert unknown <= (TROUBLES if keeps_id else SENDS)
    assert troubles <= TROUBLES
    if any(failure is not port.NotConnected for failure in failures[: 2 * TROUBLES]):
        assert decision is Verdict.REFUSE or set(failures) <= {port.NotConnected, port.SendUncertain, WhatsAppError}


def test_a_crash_counts_as_a_silence() -> None:
    """Lets a message go once more after one cut-off send, and not after two, unless repeats keep their id."""
    assert [True, True, False] == [may_send(unknown) for unknown in range(3)]
    assert may_send(2, keeps_id=True)
    assert not may_send(TROUBLES, keeps_id=True)


def test_pauses_grow_and_stay_short() -> None:
    """Waits some seconds, longer each time, never longer than a minute."""
    pauses = [pause(failures) for failures in range(1, 20)]
    assert sorted(pauses) == pauses
    assert 0 < pauses[0] < pauses[-1] <= 60


@pytest.mark.parametrize("reason", list(Reason))
def test_messages_wait_only_for_what_comes_back_by_itself(reason: Reason) -> None:
    """Refuses with the state's own sentence where the owner or host must act first, and waits in all other states."""
    refused = refusal(reason)
    row = TABLE[reason]
    if row.phase is Phase.RUNNING or row.next is Next.WAIT:
        assert refused is None or row.phase is Phase.WAITING_FOR_SCAN
    if row.next in {Next.NEW_CODE, Next.SCAN}:
        assert isinstance(refused, NotLinked)
        assert (row.sentence, Actor.OWNER) == (refused.sentence, refused.actor)
