"""The stanzas that the experiment and the stand-in send, and that they match what the product sends."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.xmpp import codes
from tests.clients import shapes

PICTURE = shapes.Picture("https://u.test/x/code.png?a=1&b=2", "code.png", 1017, 390, 390, "c2hh")
HINTS = "{urn:xmpp:hints}"
RETRACT = "{urn:xmpp:message-retract:1}retract"
# XML cannot carry control characters, and ElementTree turns a carriage return into a newline
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))


def parsed(text: str) -> ET.Element:
    """The stanza as an element."""
    return ET.fromstring(text)  # noqa: S314 - our own text


@given(TEXTS, TEXTS)
def test_any_text_survives(text: str, ident: str) -> None:
    """Escapes body and attributes, so that a quote or an angle bracket arrives as it was."""
    stanza = parsed(shapes.message("g.test", "a@b.test", ident, shapes.body(text)))
    assert (text, ident) == (stanza.findtext("body") or "", stanza.get("id"))


def test_the_body_of_an_image_is_its_url_alone() -> None:
    """Gives the same URL as body, OOB, SIMS source and SFS source."""
    stanza = parsed(shapes.message("g.test", "a@b.test", "p1", shapes.image(PICTURE)))
    sims = stanza.find(".//{urn:xmpp:sims:1}sources/{urn:xmpp:reference:0}reference")
    sfs = stanza.find(".//{urn:xmpp:sfs:0}sources/{http://jabber.org/protocol/url-data}url-data")
    assert sims is not None
    assert sfs is not None
    places = (stanza.findtext("body"), stanza.findtext(".//{jabber:x:oob}url"), sims.get("uri"), sfs.get("target"))
    assert (PICTURE.url,) * 4 == places


def test_an_image_says_all_that_clients_ask() -> None:
    """Gives type, name and size twice: Movim reads SIMS, Dino reads SFS."""
    stanza = parsed(shapes.message("g.test", "a@b.test", "p1", shapes.image(PICTURE)))
    for namespace in ("urn:xmpp:jingle:apps:file-transfer:5", "urn:xmpp:file:metadata:0"):
        file = stanza.find(f".//{{{namespace}}}file")
        assert file is not None
        found = [file.findtext(f"{{{namespace}}}{name}") for name in ("media-type", "name", "size", "width")]
        assert ["image/png", "code.png", "1017", "390"] == found


def test_the_reference_covers_the_body() -> None:
    """Counts the URL's characters, not those of its escaped form."""
    reference = parsed(shapes.message("g", "a", "p", shapes.image(PICTURE))).find("{urn:xmpp:reference:0}reference")
    assert reference is not None
    assert ("0", str(len(PICTURE.url))) == (reference.get("begin"), reference.get("end"))


def test_a_correction_names_what_it_replaces() -> None:
    """Carries the id of the first message."""
    replace = parsed(shapes.message("g", "a", "m2", shapes.replaces("m1"))).find("{urn:xmpp:message-correct:0}replace")
    assert replace is not None
    assert "m1" == replace.get("id")


def test_a_retraction_says_it_in_words_too() -> None:
    """Has a body for clients that do not know XEP-0424, marked as a fallback for those that do."""
    stanza = parsed(shapes.message("g", "a", "m2", shapes.retracts("m1", "Gone.")))
    retract, fallback = stanza.find(RETRACT), stanza.find("{urn:xmpp:fallback:0}fallback")
    assert retract is not None
    assert fallback is not None
    expected = ("m1", "Gone.", "urn:xmpp:message-retract:1")
    assert expected == (retract.get("id"), stanza.findtext("body"), fallback.get("for"))


def test_codes_are_kept_nowhere() -> None:
    """Asks for no archive and no carbon."""
    stanza = parsed(shapes.message("g", "a", "m", shapes.NO_ARCHIVE))
    assert {f"{HINTS}no-store", f"{HINTS}no-permanent-store", f"{HINTS}no-copy"} == {child.tag for child in stanza}


@pytest.mark.parametrize(("group", "groups"), [("WhatsApp", ["WhatsApp"]), ("", [])])
def test_a_roster_entry_is_subscribed_both_ways(group: str, groups: list[str]) -> None:
    """Puts the contact into the group, or into none."""
    iq = parsed(shapes.roster_item("g.test", "a@b.test", "r1", "+44@g.test", "Ana & Co", group))
    item = iq.find(".//{jabber:iq:roster}item")
    assert item is not None
    assert ("+44@g.test", "Ana & Co", "both") == (item.get("jid"), item.get("name"), item.get("subscription"))
    assert groups == [each.text for each in item]


def test_the_product_sends_what_was_tried() -> None:
    """Has the same elements and attributes as the product's image and retraction, so that the experiment counts."""
    shown = codes.Picture(PICTURE.url, b"x" * PICTURE.size, PICTURE.width)
    product = (
        codes.image("g.test", "a@b.test/r", "p1", shown),
        codes.retraction("g.test", "a@b.test/r", "r1", "p1", "Gone."),
    )
    tried = (
        shapes.message("g.test", "a@b.test/r", "p1", shapes.image(PICTURE), shapes.NO_ARCHIVE),
        shapes.message("g.test", "a@b.test/r", "r1", shapes.retracts("p1", "Gone."), shapes.NO_ARCHIVE),
    )
    for theirs, ours in zip(product, tried, strict=True):
        assert _skeleton(theirs) == _skeleton(parsed(ours))


def _skeleton(stanza: ET.Element) -> set[tuple[str, tuple[str, ...]]]:
    """Every element with the names of its attributes; the stanza's own namespace is left out."""
    return {(node.tag.replace("{jabber:client}", ""), tuple(sorted(node.attrib))) for node in stanza.iter()}
