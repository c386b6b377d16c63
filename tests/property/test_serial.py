"""Writes arbitrary trees and reads them back with two independent parsers."""

import re
from xml.etree.ElementTree import Element, canonicalize, fromstring, tostring

from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.model.serial import dump, escape, load, moved
from ponton_bridge.model.xml import CLIENT, COMPONENT, FORWARD, PRIVILEGE, el
from tests.harness.dialogue import plain, stanza

DEEPEST = 37_000  # levels; Prosody takes 262,144 bytes of a client, `<a></a>` are seven
NAMES = st.sampled_from(["message", "body", "x", "query", "item", "a-b.c_d"])
SPACES = st.sampled_from([CLIENT, COMPONENT, FORWARD, "urn:a&b", "urn:ä"])
CARRIED = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from("\t\n\r<>&\"'"), max_size=20)
ATTRIBUTES = st.dictionaries(st.sampled_from(["to", "id", "{urn:other}n", "{urn:third}m"]), CARRIED, max_size=4)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Element:
    """An arbitrary tree with texts, tails, and attributes of several namespaces."""
    node = Element(f"{{{draw(SPACES)}}}{draw(NAMES)}", draw(ATTRIBUTES))
    node.text = draw(st.none() | CARRIED)
    if depth:
        for child in draw(st.lists(trees(depth=depth - 1), max_size=3)):
            child.tail = draw(st.none() | CARRIED)
            node.append(child)
    return node


def same(one: Element, other: Element) -> bool:
    """Compare all that XML carries; an empty text and none are the same."""
    return (
        (one.tag, one.attrib, one.text or "", one.tail or "")
        == (other.tag, other.attrib, other.text or "", other.tail or "")
        and len(one) == len(other)
        and all(map(same, one, other))
    )


@given(trees())
def test_what_is_written_reads_back_the_same(tree: Element) -> None:
    """Keeps names, namespaces, attributes, texts and tails of any tree."""
    assert same(tree, load(dump(tree)))


@given(trees())
def test_agrees_with_the_standard_writer(tree: Element) -> None:
    """Means the same as ElementTree's own output, in canonical form (but for CR, which that one does not escape)."""
    for node in tree.iter():
        node.text, node.tail = (node.text or "").replace("\r", ""), (node.tail or "").replace("\r", "")
    assert canonicalize(tostring(tree, "unicode"), rewrite_prefixes=True) == canonicalize(
        dump(tree), rewrite_prefixes=True
    )


@given(trees())
def test_fits_inside_a_stream_with_a_default_namespace(tree: Element) -> None:
    """Means the same inside a stream whose default namespace is taken as given."""
    framed = fromstring(f"<s xmlns='{COMPONENT}'>{dump(tree, COMPONENT)}</s>")  # noqa: S314 - our own text
    assert same(tree, framed[0])


@given(st.text(st.characters()))
def test_any_text_becomes_readable_xml(text: str) -> None:
    """Writes lone surrogates, NULs and other characters that XML cannot carry as U+FFFD and loses nothing else."""
    back = load(dump(el("body", CLIENT, text))).text or ""
    assert len(text) == len(back)
    assert re.sub("\ufffd", "", back) == "".join(c for c, d in zip(text, back, strict=True) if c == d and c != "\ufffd")


def test_a_control_character_is_replaced() -> None:
    """Shows where something was that cannot be carried."""
    assert "a\ufffdb" == escape("a\x00b")
    assert "&quot;&#10;&#9;" == escape('"\n\t', attribute=True)


def test_a_stanza_moves_with_its_own_children_only() -> None:
    """Rewrites the stanza and its body for the component stream and leaves the wrapped message as it is."""
    inner = el("message", CLIENT, el("body", CLIENT, "hi"), from_="alice@example.test")
    outer = el("message", CLIENT, el("body", CLIENT, "x"), el("privilege", PRIVILEGE, el("forwarded", FORWARD, inner)))
    out = moved(outer, CLIENT, COMPONENT)
    assert f"{{{COMPONENT}}}message" == out.tag
    assert [f"{{{COMPONENT}}}body", f"{{{PRIVILEGE}}}privilege"] == [child.tag for child in out]
    assert f"{{{CLIENT}}}message" == out[1][0][0].tag
    assert plain(outer) == plain(moved(out, COMPONENT, CLIENT))
    assert f"{{{CLIENT}}}message" == outer.tag


@given(trees())
def test_moving_there_and_back_changes_nothing(tree: Element) -> None:
    """Is undone by the opposite move, unless the tree held both namespaces in one chain."""
    tree.tag = f"{{{CLIENT}}}message"
    for node in tree.iter():
        node.tag = node.tag.replace(COMPONENT, "urn:elsewhere")
    assert plain(tree) == plain(moved(moved(tree, CLIENT, COMPONENT), COMPONENT, CLIENT))


def test_reads_what_a_client_writes() -> None:
    """Keeps a stanza as a client writes it."""
    literal = "<message to='a@b' type='chat'><body>1 &lt; 2</body><x xmlns='jabber:x:oob'><url>u</url></x></message>"
    assert plain(stanza(literal)) == plain(load(dump(stanza(literal))))


def test_deep_trees_are_as_good_as_flat_ones() -> None:
    """A stanza as deep as a client can make it is moved, written and read without the help of Python's stack."""
    text = f"<message xmlns='{CLIENT}'>{'<a>' * DEEPEST}x{'</a>' * DEEPEST}</message>"
    tree = moved(load(text), CLIENT, COMPONENT)
    assert DEEPEST + 1 == sum(each.tag.startswith(f"{{{COMPONENT}}}") for each in tree.iter())
    assert text.replace("'", '"').replace(CLIENT, COMPONENT) == dump(tree)
