"""The rules of asking and answering: each of them once, and their bounds."""

from tests.sandbox.node import JID
from tests.sandbox.phones.retries import MAX_ANSWERS, MAX_ASKS, Answering, Ask, Asking, Recent

BOB = JID("9001", "lid", 3)
CAROL = JID("9002", "lid")


def test_the_first_request_in_a_session_carries_keys() -> None:
    """Sends keys with the first request in a session and not again while that session is current."""
    asking = Asking()
    assert Ask(1, with_keys=True) == asking.ask(BOB, "A", b"base 1")
    assert Ask(1, with_keys=False) == asking.ask(BOB, "B", b"base 1")
    assert Ask(1, with_keys=True) == asking.ask(BOB, "C", b"base 2")
    assert Ask(1, with_keys=True) == asking.ask(CAROL, "A", None)
    assert Ask(1, with_keys=False) == asking.ask(CAROL, "B", None)


def test_from_the_second_request_keys_always_come_along() -> None:
    """Counts requests per message, sends keys from the second on and stops after the fifth."""
    asking = Asking()
    asking.ask(BOB, "A", b"base")
    asks = [asking.ask(BOB, "B", b"base") for _ in range(MAX_ASKS + 2)]
    expected = [Ask(1, with_keys=False), *(Ask(n, with_keys=True) for n in range(2, MAX_ASKS + 1)), None, None]
    assert expected == asks


def test_an_answer_renews_only_the_session_that_failed() -> None:
    """Opens a new session only while the one that was used then is the current one."""
    answering = Answering()
    answering.note(BOB, "A", b"base 1")
    assert answering.renews(BOB, "A", b"base 1")
    assert not answering.renews(BOB, "A", b"base 2")
    assert answering.renews(BOB, "A", None)
    answering.note(BOB, "A", b"base 2")
    assert answering.renews(BOB, "A", b"base 2")


def test_a_message_is_answered_a_bounded_number_of_times() -> None:
    """Answers ten requests for one message of one device, and none for what that device never got."""
    answering = Answering()
    assert not answering.answers(BOB, "A")
    answering.note(BOB, "A", b"base")
    given = 0
    while answering.answers(BOB, "A"):
        answering.note(BOB, "A", b"base")
        given += 1
    assert MAX_ANSWERS == given
    assert not answering.answers(CAROL, "A")


def test_the_oldest_is_forgotten() -> None:
    """Keeps a bounded number of entries; writing one again makes it new."""
    recent: Recent[str, int] = Recent(limit=2)
    for name in ("a", "b", "a", "c"):
        recent.put(name, len(recent))
    assert (2, True, False, True) == (len(recent), "a" in recent, "b" in recent, "c" in recent)
    assert recent.get("b") is None
