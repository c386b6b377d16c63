"""What an owner answers who is asked whether they agree to a login, and what is no answer."""

from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.coordination.contract import Command, LoginAsked, LoginMessage, Verb
from ponton_bridge.model import xml
from ponton_bridge.model.xml import el
from ponton_operator.selfservice.xmpp import confirm
from ponton_operator.selfservice.xmpp.confirm import HTTP_AUTH, Confirms
from tests.unit.desk_world import ALICE, DOMAIN
from tests.unit.test_desk_orders import Spoken

BOB = "bob@example.org"
SIGN = "BCD-234"


def answer(*children: Element, transaction: str = SIGN, kind: str | None = None, tag: str = "message") -> Element:
    """Make what a client sends back (XEP-0070, section 4.2)."""
    asked = el("confirm", HTTP_AUTH, id_=transaction, method="GET", url="https://example.org/login/code")
    return el(tag, xml.CLIENT, asked, *children, type_=kind, from_=f"{ALICE}/phone", to=DOMAIN)


def no(condition: str = "not-authorized") -> Element:
    """Make a refusal, or a server's error."""
    return answer(el("error", xml.CLIENT, el(condition, xml.STANZA_ERROR), type_="auth"), kind="error")


def asked(clock: list[float] | None = None) -> Confirms:
    """Give confirms of which Alice was asked one."""
    made = Confirms(lambda: clock[0]) if clock else Confirms()
    made.ask(ALICE, SIGN)
    return made


def test_without_an_answer_there_is_none() -> None:
    """Asked, and not yet answered; or never asked."""
    assert ["", ""] == [asked().answer(ALICE, SIGN), asked().answer(BOB, SIGN)]


@pytest.mark.parametrize(("stanza", "expected"), [(answer(), "yes"), (answer(kind="chat"), "yes"), (no(), "no")])
def test_hears_yes_and_no(stanza: Element, expected: str) -> None:
    """A message that repeats the question is a yes, the error 'not authorized' a no."""
    confirms = asked()
    assert confirms.hear(ALICE, stanza)
    assert expected == confirms.answer(ALICE, SIGN)


def test_the_first_answer_counts() -> None:
    """Neither a change of mind nor another device overrules it; asked again (at least once), it stays."""
    confirms = asked()
    for stanza in (no(), answer()):
        assert confirms.hear(ALICE, stanza)
    confirms.ask(ALICE, SIGN)
    assert "no" == confirms.answer(ALICE, SIGN)


@pytest.mark.parametrize("condition", ["service-unavailable", "recipient-unavailable", "remote-server-not-found"])
def test_a_server_that_brings_a_message_back_has_not_answered(condition: str) -> None:
    """The owner is offline: that is no refusal, and still it is taken, so that nothing is made of it."""
    confirms = asked()
    assert confirms.hear(ALICE, no(condition))
    assert "" == confirms.answer(ALICE, SIGN)


def test_nobody_answers_for_somebody_else() -> None:
    """Another sender, another transaction, and one of nobody have no effect."""
    confirms = asked()
    assert confirms.hear(BOB, answer())
    assert confirms.hear(ALICE, answer(transaction="XXX-999"))
    assert confirms.hear(ALICE, answer(transaction=""))
    assert ["", "", ""] == [confirms.answer(who, sign) for who, sign in ((ALICE, SIGN), (BOB, SIGN), (BOB, ""))]


def test_what_is_no_answer_is_left_to_others() -> None:
    """A text, and a question by iq."""
    confirms = asked()
    assert not confirms.hear(ALICE, el("message", xml.CLIENT, el("body", xml.CLIENT, "yes")))
    assert not confirms.hear(ALICE, answer(tag="iq", kind="get"))


def test_a_question_ends_with_its_code() -> None:
    """After ten minutes an answer has no effect, and one that was given is forgotten."""
    clock = [100.0]
    confirms = asked(clock)
    clock[0] += confirm.SECONDS
    assert confirms.hear(ALICE, answer())
    assert "" == confirms.answer(ALICE, SIGN)
    clock[0] += 1
    confirms.ask(ALICE, SIGN)
    confirms.hear(ALICE, answer())
    clock[0] += confirm.SECONDS
    assert "" == confirms.answer(ALICE, SIGN)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest questions go first."""
    monkeypatch.setattr(confirm, "MOST", 3)
    confirms = Confirms()
    for number in range(5):
        confirms.ask(ALICE, str(number))
        confirms.hear(ALICE, answer(transaction=str(number)))
    assert ["", "", "yes", "yes", "yes"] == [confirms.answer(ALICE, str(number)) for number in range(5)]


def order(to: str = ALICE) -> Command:
    """Make an order to say a code and to ask."""
    told = LoginMessage(to, "12345678", "en", SIGN, "https://example.org/login/code")
    return Command("c1", Verb.LOGIN, 0.0, told.to_json())


def ask_desk(to: str = ALICE) -> Command:
    """Make the portal's question for the answer."""
    return Command("c2", Verb.CONFIRMED, 0.0, LoginAsked(to, SIGN).to_json())


async def test_the_message_with_the_code_asks_too() -> None:
    """To the bare address, with a thread, with words that hold the transaction, and nowhere kept."""
    spoken = Spoken()
    assert 1 == (await spoken.orders.handle(order())).ok
    (message,) = spoken.sent
    found = message.find(f"{{{HTTP_AUTH}}}confirm")
    assert found is not None
    assert {"id": SIGN, "method": "GET", "url": "https://example.org/login/code"} == found.attrib
    assert SIGN == message.findtext("{jabber:client}thread")
    body = message.findtext("{jabber:client}body") or ""
    assert body.startswith("12345678 is your code")
    assert SIGN in body


async def test_the_portal_hears_what_was_answered_and_nothing_of_strangers() -> None:
    """A question to somebody who is none of ours was never asked, and looks like one that nobody answers."""
    spoken = Spoken()
    for owner in (ALICE, "eve@elsewhere.net"):
        await spoken.orders.handle(order(owner))
        assert ("", 1) == ((given := await spoken.orders.handle(ask_desk(owner))).value, given.ok)
    spoken.confirms.hear(ALICE, answer())
    spoken.confirms.hear("eve@elsewhere.net", answer())
    assert "yes" == (await spoken.orders.handle(ask_desk())).value
    assert "" == (await spoken.orders.handle(ask_desk("eve@elsewhere.net"))).value
