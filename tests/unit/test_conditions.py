"""Tables of conditions and reasons are whole, and what is described of an account makes sense for any reason."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import TABLE, Phase, Reason
from ponton_operator.plan.describe import describe, running_reason
from ponton_operator.plan.values import Observed, Process
from ponton_operator.resources.account import AccountStatus, ParkingStatus, RetryStatus, ShardStatus
from ponton_operator.resources.base import Truth, moment
from ponton_operator.resources.conditions import ABNORMAL, MEANING, OWN, Own, Type, phase_of, sentence_of

NOW = 1_800_000_000.0
KUBERNETES_REASON = re.compile(r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")  # metav1.Condition
REASONS = st.sampled_from([*Reason, *(own for own in Own if OWN[own].phase)])


def test_every_type_has_a_meaning() -> None:
    """Each type is explained, and the abnormal ones are types."""
    assert set(Type) == MEANING.keys()
    assert set(Type) > ABNORMAL


def test_every_reason_has_a_row() -> None:
    """Each reason of a link and of the control plane has a sentence; the two vocabularies differ where phases do."""
    assert set(Own) == OWN.keys()
    assert all(sentence_of(reason) for reason in (*Reason, *Own))
    both = {str(own) for own in Own} & {str(reason) for reason in Reason}
    assert set() == both


@pytest.mark.parametrize("reason", [*Reason, *Own])
def test_reasons_are_reasons_of_kubernetes(reason: str) -> None:
    """Every reason may stand in a condition."""
    assert KUBERNETES_REASON.match(reason)


@pytest.mark.parametrize("reason", ["", "Nonsense", "<b>"])
def test_an_unknown_reason_counts_as_failed(reason: str) -> None:
    """What is in no table has no sentence and the phase Failed."""
    assert (Phase.FAILED, "") == (phase_of(reason), sentence_of(reason))


@st.composite
def situations(draw: st.DrawFn) -> tuple[AccountStatus, Observed]:
    """Make any status with any observation."""
    epoch = draw(st.sampled_from([7, 8]))
    ended = draw(st.booleans())
    shard = ShardStatus(
        epoch=7,
        revision=draw(st.sampled_from(["r1", "r2"])),
        started=moment(NOW - 60),
        ended=moment(NOW) if ended else None,
        exit_code=draw(st.sampled_from([None, 0, 75, 78, -9])) if ended else None,
    )
    parking = ParkingStatus(reason=draw(REASONS), since=moment(NOW)) if draw(st.booleans()) else None
    status = AccountStatus(
        epoch=7,
        paired=draw(st.booleans()),
        shard=draw(st.sampled_from([None, shard])),
        parking=parking,
        retry=RetryStatus(failures=draw(st.integers(0, 5))),
    )
    process = Process(epoch, ended=draw(st.booleans()), told=draw(st.booleans()), lost=draw(st.booleans()))
    state = StateChange(
        "acc-1",
        draw(st.sampled_from([7, 8])),
        "i",
        draw(REASONS | st.text(max_size=5)),
        NOW,
        xmpp=draw(st.integers(0, 1)),
    )
    return status, Observed(
        processes=(process,) if draw(st.booleans()) else (),
        state=state if draw(st.booleans()) else None,
        twin=draw(st.sampled_from(["", "acc-0"])),
        revision="r1",
    )


@given(situations(), REASONS, st.booleans())
def test_describes_anything(situation: tuple[AccountStatus, Observed], reason: str, frozen: bool) -> None:  # noqa: FBT001  # drawn
    """Whatever is seen, there is one condition of each normal type, valid, and Ready only when all else is well."""
    status, seen = situation
    told = describe(status, seen, reason, NOW, frozen=frozen, generation=3)
    conditions = {c.type: c for c in told.conditions}
    assert len(conditions) == len(told.conditions)
    assert set(Type) - ABNORMAL <= conditions.keys()
    assert all(c.status is Truth.TRUE for kind, c in conditions.items() if kind in ABNORMAL)
    assert all(KUBERNETES_REASON.match(c.reason) and c.message for c in told.conditions)
    assert (Type.PAUSED in conditions) == frozen
    if conditions[Type.READY].status is Truth.TRUE:
        for kind in (Type.POD_SCHEDULED, Type.XMPP_CONNECTED, Type.WHATSAPP_CONNECTED):
            assert Truth.TRUE is conditions[kind].status
        assert Type.WAITING_FOR_NODE not in conditions
    assert told == describe(told, seen, reason, NOW + 60, frozen=frozen, generation=3)


@given(situations())
def test_explains_anything(situation: tuple[AccountStatus, Observed]) -> None:
    """An account that should run always has a reason out of the tables."""
    reason = running_reason(*situation)
    assert reason in TABLE or reason in OWN


@pytest.mark.parametrize(
    ("expected", "reason", "xmpp"),
    [
        ((Truth.TRUE, Truth.TRUE, Truth.TRUE), Reason.CONNECTED, 1),
        ((Truth.FALSE, Truth.TRUE, Truth.TRUE), Reason.CONNECTED, 0),
        ((Truth.TRUE, Truth.TRUE, Truth.FALSE), Reason.PHONE_QUIET, 1),
        ((Truth.TRUE, Truth.TRUE, Truth.TRUE), Reason.NEW_CONTACTS_BLOCKED, 1),
        ((Truth.FALSE, Truth.FALSE, Truth.UNKNOWN), Reason.CONNECTION_LOST, 1),
        ((Truth.FALSE, Truth.FALSE, Truth.UNKNOWN), Reason.WAITING_FOR_SCAN, 1),
    ],
)
def test_linked_is_what_counts(expected: tuple[Truth, Truth, Truth], reason: Reason, xmpp: int) -> None:
    """Ready, WhatsAppConnected and PhoneSeen follow the reason that the running shard told."""
    status = AccountStatus(epoch=7, shard=ShardStatus(epoch=7, revision="r1", started=moment(NOW)))
    seen = Observed(processes=(Process(7),), state=StateChange("acc-1", 7, "i", reason, NOW, xmpp=xmpp), revision="r1")
    told = describe(status, seen, reason, NOW, frozen=False, generation=1)
    found = {c.type: c.status for c in told.conditions}
    assert expected == (found[Type.READY], found[Type.WHATSAPP_CONNECTED], found[Type.PHONE_SEEN])
