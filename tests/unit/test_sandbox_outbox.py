"""The queue of what a device has not acknowledged."""

import pytest

from tests.sandbox import outbox as module
from tests.sandbox.node import JID, LID, Node, node
from tests.sandbox.outbox import Outbox

BOB, EVE, GROUP = JID("8", LID), JID("7", LID), JID("120363", "g.us")


def message(identifier: str, sender: JID = BOB, participant: JID | None = None) -> Node:
    """A message as it waits."""
    return node("message", id=identifier, from_=sender, participant=participant, type="text")


def receipt(identifier: str, kind: str = "", sender: JID = BOB) -> Node:
    """A receipt as it waits."""
    return node("receipt", id=identifier, from_=sender, type=kind)


def filled(*stanzas: Node) -> Outbox:
    """An outbox with stanzas waiting."""
    outbox = Outbox()
    for stanza in stanzas:
        outbox.put(stanza)
    return outbox


def test_order_is_kept() -> None:
    """Stanzas wait in the order in which they came."""
    outbox = filled(message("1"), receipt("1"), message("2"))
    assert ["message 1", "receipt 1", "message 2"] == [f"{w.stanza.tag} {w.stanza.get('id')}" for w in outbox]
    assert 3 == len(outbox)


def test_acknowledged_is_gone() -> None:
    """An acknowledgement strikes out its stanza and no other, and a repeat nothing."""
    outbox = filled(message("1"), message("2"))
    struck = outbox.acknowledge("message", "1")
    assert struck is not None
    assert "1" == struck.get("id")
    assert outbox.acknowledge("message", "1") is None
    assert ["2"] == [waiting.stanza.get("id") for waiting in outbox]


def test_tags_are_told_apart() -> None:
    """A receipt's acknowledgement leaves the message of that id alone."""
    outbox = filled(message("1"), receipt("1"))
    outbox.acknowledge("receipt", "1")
    assert ["message"] == [waiting.stanza.tag for waiting in outbox]


def test_kinds_of_receipts_are_told_apart() -> None:
    """Of several receipts for one id, the acknowledged type is struck out."""
    outbox = filled(receipt("1", "sender"), receipt("1"), receipt("1", "read"))
    for kind in ("", "read", "sender"):
        struck = outbox.acknowledge("receipt", "1", kind)
        assert struck is not None
        assert kind == struck.get("type")


def test_senders_are_told_apart() -> None:
    """Of two messages with one id, the one from the named sender is struck out."""
    outbox = filled(message("1", BOB), message("1", EVE))
    struck = outbox.acknowledge("message", "1", "", str(EVE))
    assert struck is not None
    assert EVE == struck.jid("from")


def test_members_are_told_apart() -> None:
    """In groups the participant tells two messages with one id apart."""
    outbox = filled(message("1", GROUP, BOB), message("1", GROUP, EVE))
    struck = outbox.acknowledge("message", "1", "", str(EVE), "")
    assert struck is not None
    assert EVE == struck.jid("participant")


def test_unknown_address_still_acknowledges() -> None:
    """The id decides: an acknowledgement that names the chat instead of the sender strikes out the oldest."""
    outbox = filled(message("1", BOB), message("1", EVE))
    struck = outbox.acknowledge("message", "1", "", "5@lid")
    assert struck is not None
    assert BOB == struck.jid("from")


def test_overflow_drops_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that never acknowledges cannot fill the memory; what is lost is counted."""
    monkeypatch.setattr(module, "LIMIT", 3)
    outbox = filled(*(message(str(number)) for number in range(5)))
    assert ["2", "3", "4"] == [waiting.stanza.get("id") for waiting in outbox]
    assert 2 == outbox.overflow
    assert outbox.acknowledge("message", "0") is None


def test_cleared() -> None:
    """A removed device waits for nothing."""
    outbox = filled(message("1"))
    outbox.clear()
    assert 0 == len(outbox)
    assert outbox.acknowledge("message", "1") is None


def test_iteration_survives_acknowledgements() -> None:
    """While the waiting stanzas are gone through, they may be acknowledged."""
    outbox = filled(message("1"), message("2"), message("3"))
    for waiting in outbox:
        outbox.acknowledge("message", waiting.stanza.get("id"))
    assert 0 == len(outbox)


def test_writes_are_counted_by_the_sender() -> None:
    """An entry remembers how often it was written."""
    entry = Outbox().put(message("1"))
    assert 0 == entry.writes
    entry.writes += 1
    assert 1 == entry.writes
