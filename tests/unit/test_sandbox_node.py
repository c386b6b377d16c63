"""Addresses and stanzas as values."""

import pytest

from tests.sandbox.node import JID, LID, SERVER, SERVER_JID, Node, QueryError, StanzaError, node


@pytest.mark.parametrize(
    ("text", "jid"),
    [
        ("33612@s.whatsapp.net", JID("33612", SERVER)),
        ("33612:7@s.whatsapp.net", JID("33612", SERVER, 7)),
        ("123:0@lid", JID("123", LID)),
        ("33612.0:7@s.whatsapp.net", JID("33612", SERVER, 7)),
        ("s.whatsapp.net", SERVER_JID),
        ("120363@g.us", JID("120363", "g.us")),
    ],
)
def test_addresses_are_read(text: str, jid: JID) -> None:
    """Every form of an address is read: with device, with agent, and the server itself."""
    assert jid == JID.parse(text)


@pytest.mark.parametrize("text", ["", "@lid", "33612:x@lid", "33612:@lid", "33612:-1@lid", "33612@"])
def test_what_is_no_address(text: str) -> None:
    """Anything else is refused with a sentence."""
    with pytest.raises(StanzaError, match="not an address"):
        JID.parse(text)


@pytest.mark.parametrize("text", ["33612@s.whatsapp.net", "33612:7@s.whatsapp.net", "s.whatsapp.net", "9:42@lid"])
def test_addresses_are_written(text: str) -> None:
    """An address is written as it was read."""
    assert text == str(JID.parse(text))


def test_device_zero_is_not_written() -> None:
    """The phone has no device number in its address."""
    assert "9@lid" == str(JID("9", LID, 0))
    assert "9.0:0@lid" == JID("9", LID, 0).hashed
    assert "9.0:3@lid" == JID("9", LID, 3).hashed


def test_devices_of_a_user() -> None:
    """An address leads to the account's and to its other devices'."""
    jid = JID("9", LID, 3)
    assert JID("9", LID) == jid.bare
    assert JID("9", LID, 5) == jid.of_device(5)
    assert jid is jid.of_device(3)


def test_children_are_found() -> None:
    """Children are reached by tag, the first or all, or any."""
    tree = node("list", node("a", n=1), node("b"), node("a", n=2))
    first = tree.child("a")
    assert first is not None
    assert 1 == first.number("n")
    assert ["1", "2"] == [child.get("n") for child in tree.all("a")]
    assert "b" == tree.need("b").tag
    assert "a" == (tree.child("b", "a") or node("none")).tag
    assert tree.children[0] is tree.child()
    assert tree.child("c") is None


def test_missing_child_is_named() -> None:
    """What a stanza lacks is said with both tags."""
    with pytest.raises(StanzaError, match="<iq> without <usync>"):
        node("iq").need("usync")


def test_content_is_children_or_bytes() -> None:
    """Bytes are no children and children no bytes; neither is a mistake to ask for."""
    leaf, branch = node("leaf", b"caf\xc3\xa9"), node("branch", node("leaf"))
    assert (b"caf\xc3\xa9", "café", []) == (leaf.data, leaf.text, leaf.children)
    assert (b"", "", None) == (branch.data, branch.text, branch.child("twig"))
    assert b"" == node("empty").data


def test_mixed_content_is_refused() -> None:
    """A node cannot hold bytes beside children."""
    with pytest.raises(TypeError):
        node("wrong", node("a"), b"bytes")


def test_attributes() -> None:
    """Attributes come as text, number or address; addresses are parsed where they came as text."""
    stanza = Node("message", {"to": JID("9", LID), "participant": "8:1@lid", "t": "12"})
    assert JID("9", LID) == stanza.jid("to")
    assert JID("8", LID, 1) == stanza.jid("participant")
    assert ("9@lid", 12, 5) == (stanza.get("to"), stanza.number("t"), stanza.number("offline", 5))
    assert ("", "none") == (stanza.get("edit"), stanza.get("edit", "none"))


@pytest.mark.parametrize("attrs", [{}, {"t": "x"}, {"t": "-1"}, {"t": "1.5"}])
def test_numbers_that_are_none(attrs: dict[str, str | JID]) -> None:
    """A missing or odd number is the peer's mistake."""
    with pytest.raises(StanzaError):
        Node("message", attrs).number("t")


def test_missing_address() -> None:
    """A missing address is the peer's mistake."""
    with pytest.raises(StanzaError, match="<message> without to"):
        node("message").jid("to")


def test_builder_leaves_empty_attributes_out() -> None:
    """None and empty text are left out, zero is kept, a trailing underscore is dropped."""
    built = node("ack", class_="receipt", id="", error=None, count=0, to=JID("9", LID))
    assert {"class": "receipt", "count": "0", "to": JID("9", LID)} == built.attrs


def test_changed_copy() -> None:
    """A copy with other attributes leaves the original as it was and shares its content."""
    original = node("receipt", node("list"), from_=JID("9", LID), type="read")
    copy = original.with_attrs(type=None, recipient=JID("8", LID), from_="x")
    assert {"from": "x", "recipient": JID("8", LID)} == copy.attrs
    assert {"from": JID("9", LID), "type": "read"} == original.attrs
    assert copy.content is original.content


def test_rendering() -> None:
    """Traces show tags, attributes and children, and of bytes only how many."""
    tree = node("iq", node("ref", b"secret"), node("empty"), id=1)
    assert "<iq id=1><ref>[6]</><empty/></iq>" == str(tree)


def test_query_errors_carry_their_code() -> None:
    """What the asker is told is kept beside the sentence."""
    error = QueryError(404, "item-not-found")
    assert (404, "item-not-found", "item-not-found") == (error.code, error.text, str(error))
