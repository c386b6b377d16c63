"""An attempt to link for which WhatsApp wants a passkey: the request, the answer, the code to compare, every end."""

import json
from typing import Any

import pytest

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.core import events as on
from ponton_bridge.core.effects import (
    AnswerPasskey,
    ClearCode,
    ConfirmPasskey,
    Effect,
    ExpireCode,
    PublishCode,
    RefusePasskey,
    ShowCode,
    StopDriver,
)
from ponton_bridge.core.pairing import ANSWERS, HANDOFF, NOT_ASKED, Pairing
from ponton_bridge.core.pairing_table import Step
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import CodeKind
from tests.unit.test_pairing import HOME, PHONE, T, opened, qr, showing, tick
from tests.unit.test_passkey import REQUEST, answered

LIVE = LiveCode("passkey", REQUEST, 1, 1, T + 600)
COMPARE = LiveCode("compare", "ABCD-EFGH", 1, 1, T + 20 + HANDOFF)
PAIRED = port.Paired(Address(lid="1"))


def asked(seconds: float = 0.0) -> Pairing:
    """An attempt whose code was scanned, and for which WhatsApp wants a passkey within 600 s."""
    pairing = showing()
    pairing.receive(port.Code(CodeKind.PASSKEY, REQUEST, seconds), T)
    assert (Step.PASSKEY, Reason.WAITING_FOR_PASSKEY) == (pairing.step, pairing.reason)
    return pairing


def given() -> Pairing:
    """The same, answered at T + 9."""
    pairing = asked()
    assert [AnswerPasskey] == [type(effect) for effect in pairing.receive(on.PasskeyGiven(answered()), T + 9)]
    return pairing


def comparing() -> Pairing:
    """The same, with a code to compare since T + 20."""
    pairing = given()
    pairing.receive(on.PasskeyTaken(ok=True), T + 10)
    pairing.receive(port.Code(CodeKind.COMPARE, "ABCD-EFGH", 0.0), T + 20)
    assert (Step.COMPARING, Reason.COMPARING_CODES) == (pairing.step, pairing.reason)
    return pairing


def refused(effects: list[Effect]) -> str:
    """The sentence with which something brought by hand was refused, and nothing else was done."""
    (effect,) = effects
    assert isinstance(effect, RefusePasskey)
    return effect.problem.sentence


def test_a_request_takes_the_place_of_the_codes() -> None:
    """The code was used; what WhatsApp asks is shown and published until its time is over."""
    pairing = showing()
    assert [
        ClearCode(),
        ExpireCode(CodeKind.QR, linked=True),
        ShowCode(LIVE, (HOME,)),
        PublishCode(LIVE),
    ] == pairing.receive(port.Code(CodeKind.PASSKEY, REQUEST, 0), T)
    assert (T + 600, LIVE) == (pairing.due, pairing.code)
    assert pairing.driven


def test_a_request_in_place_of_the_first_code() -> None:
    """A number that was linked by letters may be asked before any picture was shown."""
    pairing = opened()
    pairing.receive(port.Code(CodeKind.PASSKEY, REQUEST, 30.0), T)
    assert (Step.PASSKEY, T + 30) == (pairing.step, pairing.due)


def test_the_whole_way_without_comparing() -> None:
    """Answered, taken, linked: what was shown is told as used once WhatsApp has the answer."""
    pairing = asked()
    (effect,) = pairing.receive(on.PasskeyGiven(answered()), T + 9)
    assert isinstance(effect, AnswerPasskey)
    assert json.loads(answered())["id"] == json.loads(effect.answer)["id"]
    assert (Step.ANSWERED, Reason.WAITING_FOR_PASSKEY) == (pairing.step, pairing.reason)
    taken = [ClearCode(), ExpireCode(CodeKind.PASSKEY, linked=True)]
    assert taken == pairing.receive(on.PasskeyTaken(ok=True), T + 10)
    assert (Reason.PASSKEY_ANSWERED, T + 10 + HANDOFF) == (pairing.reason, pairing.due)
    assert [] == pairing.receive(PAIRED, T + 11)
    assert (Step.LINKED, None) == (pairing.step, pairing.due)


def test_the_whole_way_with_codes_to_compare() -> None:
    """The code is shown and published; the same on both sides, it is told to WhatsApp."""
    pairing = given()
    pairing.receive(on.PasskeyTaken(ok=True), T + 10)
    shown = [ShowCode(COMPARE, (HOME,)), PublishCode(COMPARE)]
    assert shown == pairing.receive(port.Code(CodeKind.COMPARE, "ABCD-EFGH", 0.0), T + 20)
    same = [ClearCode(), ExpireCode(CodeKind.COMPARE, linked=True), ConfirmPasskey()]
    assert same == pairing.receive(on.CodesCompared(same=True), T + 30)
    assert (Step.ANSWERED, Reason.PASSKEY_ANSWERED, T + 30 + HANDOFF) == (pairing.step, pairing.reason, pairing.due)
    pairing.receive(on.PasskeyTaken(ok=True), T + 31)
    assert [] == pairing.receive(PAIRED, T + 32)
    assert Step.LINKED is pairing.step


def test_the_code_to_compare_may_be_faster_than_the_word_on_the_answer() -> None:
    """Both come by ways of their own: in either order the code stays."""
    pairing = given()
    effects = pairing.receive(port.Code(CodeKind.COMPARE, "ABCD-EFGH", 0.0), T + 20)
    assert [ClearCode(), ExpireCode(CodeKind.PASSKEY, linked=True)] == effects[:2]
    assert [] == pairing.receive(on.PasskeyTaken(ok=True), T + 20)
    assert (Step.COMPARING, COMPARE) == (pairing.step, pairing.code)


@pytest.mark.parametrize(
    "how",
    [{"origin": "https://example.org"}, {"challenge": "AAAA"}],
)
def test_an_answer_that_does_not_fit_never_reaches_whatsapp(how: dict[str, Any]) -> None:
    """It is refused with a sentence, costs nothing, and the right one is still taken."""
    pairing = asked()
    for _ in range(ANSWERS + 1):
        assert refused(pairing.receive(on.PasskeyGiven(answered(**how)), T + 5))
    assert refused(pairing.receive(on.PasskeyGiven("{}"), T + 5))
    assert [AnswerPasskey] == [type(effect) for effect in pairing.receive(on.PasskeyGiven(answered()), T + 9)]


def test_an_answer_that_whatsapp_refuses_may_be_given_again() -> None:
    """The request stays until its time is over, or until it was refused too often."""
    pairing = asked()
    for number in range(ANSWERS - 1):
        pairing.receive(on.PasskeyGiven(answered()), T + number)
        assert [] == pairing.receive(on.PasskeyTaken(ok=False), T + number)
        assert (Step.PASSKEY, Reason.WAITING_FOR_PASSKEY, LIVE) == (pairing.step, pairing.reason, pairing.code)
        assert T + 600 == pairing.due
    pairing.receive(on.PasskeyGiven(answered()), T + 60)
    end = [ClearCode(), ExpireCode(CodeKind.PASSKEY, linked=False), StopDriver()]
    assert end == pairing.receive(on.PasskeyTaken(ok=False), T + 61)
    assert (Step.ENDED, Reason.PASSKEY_FAILED) == (pairing.step, pairing.reason)


def test_a_refusal_behind_the_request_s_time_ends_it() -> None:
    """There is no time for another answer."""
    pairing = asked()
    pairing.receive(on.PasskeyGiven(answered()), T + 599)
    assert StopDriver() in pairing.receive(on.PasskeyTaken(ok=False), T + 601)
    assert Reason.PASSKEY_FAILED is pairing.reason


def test_a_confirmation_that_whatsapp_refuses_ends_it() -> None:
    """Behind the comparison nothing can be tried again."""
    pairing = comparing()
    pairing.receive(on.CodesCompared(same=True), T + 30)
    assert [StopDriver()] == pairing.receive(on.PasskeyTaken(ok=False), T + 31)
    assert Reason.PASSKEY_FAILED is pairing.reason


def test_codes_that_differ_link_nothing() -> None:
    """The attempt is over at once, and WhatsApp hears no word of consent."""
    pairing = comparing()
    end = [ClearCode(), ExpireCode(CodeKind.COMPARE, linked=False), StopDriver()]
    assert end == pairing.receive(on.CodesCompared(same=False), T + 30)
    assert (Step.ENDED, Reason.CODES_DIFFER) == (pairing.step, pairing.reason)


def test_a_request_can_be_called_off() -> None:
    """Whoever has no passkey at hand does not have to wait; a yes means nothing there."""
    pairing = asked()
    assert NOT_ASKED == refused(pairing.receive(on.CodesCompared(same=True), T + 5))
    assert StopDriver() in pairing.receive(on.CodesCompared(same=False), T + 6)
    assert Reason.PASSKEY_UNANSWERED is pairing.reason


@pytest.mark.parametrize(
    ("pairing", "due", "reason"),
    [
        (asked(), T + 600, Reason.PASSKEY_UNANSWERED),
        (asked(300.0), T + 300, Reason.PASSKEY_UNANSWERED),
        (given(), T + 600, Reason.PASSKEY_FAILED),
        (comparing(), T + 20 + HANDOFF, Reason.PASSKEY_UNANSWERED),
    ],
    ids=["a request", "a short request", "an answer", "a code to compare"],
)
def test_every_step_has_its_time(pairing: Pairing, due: float, reason: Reason) -> None:
    """It ends clearly, with what was not done, and nothing stays published."""
    assert due == pairing.due
    assert [] == pairing.receive(on.Tick(), due - 1)
    assert StopDriver() in tick(pairing)
    assert (Step.ENDED, reason, None) == (pairing.step, pairing.reason, pairing.code)


@pytest.mark.parametrize("begin", [asked, given, comparing])
def test_codes_that_come_again_make_the_request_void(begin: Any) -> None:  # noqa: ANN401 - one of the above
    """A driver that began anew has no key of the step any more: the phone has to scan again, and is shown what."""
    pairing = begin()
    effects = pairing.receive(qr("two"), T + 40)
    again = LiveCode("qr", "two", 2, 6, T + 60)
    assert ClearCode() == effects[0]
    assert [ShowCode(again, (HOME,)), PublishCode(again)] == effects[-2:]
    assert (Step.SHOWING, Reason.WAITING_FOR_SCAN) == (pairing.step, pairing.reason)
    assert NOT_ASKED == refused(pairing.receive(on.PasskeyGiven(answered()), T + 41))


def test_another_request_takes_the_place_of_the_one_before() -> None:
    """Only the newest can be answered."""
    pairing = asked()
    other = REQUEST.replace('"challenge": "', '"challenge": "AAAA')
    pairing.receive(port.Code(CodeKind.PASSKEY, other, 60.0), T + 10)
    assert (other, T + 70) == (pairing.code and pairing.code.text, pairing.due)
    assert "another request" in refused(pairing.receive(on.PasskeyGiven(answered()), T + 11))


@pytest.mark.parametrize("begin", [asked, given, comparing])
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (port.PairingFailed(Reason.PASSKEY_FAILED), Reason.PASSKEY_FAILED),
        (port.PairingFailed(Reason.FAILED), Reason.PAIRING_FAILED),
        (port.Link(Reason.BANNED), Reason.BANNED),
    ],
)
def test_whatever_ends_the_attempt_is_told(begin: Any, told: port.Event, reason: Reason) -> None:  # noqa: ANN401
    """WhatsApp's word comes before ours."""
    pairing = begin()
    assert StopDriver() in pairing.receive(told, T + 40)
    assert (Step.ENDED, reason) == (pairing.step, pairing.reason)


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (asked, Reason.PASSKEY_UNANSWERED),
        (given, Reason.PASSKEY_FAILED),
        (comparing, Reason.PASSKEY_UNANSWERED),
    ],
)
def test_a_closed_connection_is_told_as_what_it_ends(begin: Any, reason: Reason) -> None:  # noqa: ANN401
    """To the driver no code was scanned; here one was."""
    pairing = begin()
    pairing.receive(port.PairingFailed(Reason.CODES_USED_UP), T + 40)
    assert reason is pairing.reason


def test_newcomers_and_whoever_asks_see_what_is_live() -> None:
    """Another client, and 'new code', get the request or the code to compare again."""
    for pairing, live in ((asked(), LIVE), (comparing(), COMPARE)):
        assert [ShowCode(live, (PHONE,))] == pairing.receive(on.Present(PHONE), T + 30)
        assert [ShowCode(live, (HOME, PHONE)), PublishCode(live)] == pairing.receive(on.NewCode(), T + 31)


@pytest.mark.parametrize("event", [on.PasskeyGiven(answered()), on.CodesCompared(same=True)])
@pytest.mark.parametrize("begin", [Pairing, opened, showing, given])
def test_what_nobody_asked_for_is_refused(begin: Any, event: on.Event) -> None:  # noqa: ANN401
    """Whoever brings it gets a word, whatever the step."""
    assert NOT_ASKED == refused(begin().receive(event, T + 10))


def test_a_code_to_compare_without_a_request_is_nothing() -> None:
    """There is no answer that it could belong to."""
    pairing = showing()
    assert [] == pairing.receive(port.Code(CodeKind.COMPARE, "ABCD-EFGH", 0.0), T + 1)
    assert Step.SHOWING is pairing.step
