"""Stanzas as JSON: what the trace shows, what a test may inject, and what is refused."""

import pytest

from tests.sandbox.control import stanzas
from tests.sandbox.node import JID, node
from tests.sandbox.world import Trace

ALICE = JID("9001", "lid", 2)


def test_writes_addresses_children_and_bytes() -> None:
    """Marks addresses as such and gives bytes as base64."""
    stanza = node("message", node("enc", b"\x00\xff", v=2), node("empty"), from_=ALICE, id="A")
    assert {
        "tag": "message",
        "attrs": {"from": {"jid": "9001:2@lid"}, "id": "A"},
        "content": [
            {"tag": "enc", "attrs": {"v": "2"}, "content": {"base64": "AP8="}},
            {"tag": "empty", "attrs": {}},
        ],
    } == stanzas.write(stanza)


def test_reads_what_a_person_writes() -> None:
    """Takes texts for bytes, and numbers for texts."""
    stanza = stanzas.read(
        {"tag": "ack", "attrs": {"to": {"jid": "9001:2@lid"}, "t": 5}, "content": [{"tag": "x", "content": "é"}]}
    )
    assert node("ack", node("x", "é".encode()), to=ALICE, t=5) == stanza
    assert node("bare") == stanzas.read({"tag": "bare"})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "an object with"),
        ({}, "an object with"),
        ({"tag": 5}, "an object with"),
        ({"tag": "a", "attrs": []}, "`attrs`"),
        ({"tag": "a", "attrs": {"to": {"jid": "a:b@lid"}}}, "address"),
        ({"tag": "a", "attrs": {"to": {}}}, "address"),
        ({"tag": "a", "content": 5}, "`content`"),
        ({"tag": "a", "content": {"base64": "?"}}, "does not decode"),
        ({"tag": "a", "content": [{"tag": "b"}, 5]}, "an object with"),
    ],
)
def test_refuses_what_is_no_stanza(data: object, sentence: str) -> None:
    """Says which part cannot be read."""
    with pytest.raises(ValueError, match=sentence):
        stanzas.read(data)


def test_an_entry_of_the_trace_has_its_number() -> None:
    """Shows number, time, event, whom it happened to and the stanza; what there is not is null."""
    full = stanzas.traced(7, Trace(1.5, "sent", ALICE, node("ack")))
    bare = stanzas.traced(8, Trace(2.5, "offered_codes", None, None))
    assert {"n": 7, "at": 1.5, "event": "sent", "who": "9001:2@lid", "stanza": {"tag": "ack", "attrs": {}}} == full
    assert {"n": 8, "at": 2.5, "event": "offered_codes", "who": None, "stanza": None} == bare
