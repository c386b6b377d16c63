"""Whatever WhatsApp sends becomes XML that a parser takes, and whatever a client sends becomes intents."""

from xml.etree.ElementTree import Element, fromstring, tostring

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Intent, Reply, Send
from ponton_bridge.features.stanzas import MAX_TEXT
from ponton_bridge.model import xml
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from tests.unit.dialogue import ANA, DOMAIN, FAMILY, HIDDEN, NOW, OWNER, Dialogue

STANZA_LIMIT = 250_000  # bytes; what the journal takes, a little less than Prosody sends to a client
BOUND = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Any code point, lone surrogates and controls included: that is what a stranger may put into a protobuf string.
texts = st.text(st.characters(codec=None), max_size=60) | st.sampled_from(
    ["", "\x00", "\ud800", "]]>", "&<>\"'", "﷽" * 9]
)
ids = st.text(st.characters(codec=None), min_size=1, max_size=200) | st.sampled_from(["3EB001", "3EB002"])
numbers = st.from_regex(r"[1-9][0-9]{4,14}", fullmatch=True)
lids = st.from_regex(r"[0-9]{1,20}", fullmatch=True)
people = (
    st.sampled_from([ANA, HIDDEN])
    | st.builds(Address, number=numbers, lid=st.none() | lids)
    | st.builds(Address, lid=lids)
)
chats = people | st.just(FAMILY)
times = st.integers(-(2**40), 2**40)
floats = st.floats(allow_nan=True, allow_infinity=True)
contents = (
    st.builds(port.Text, texts, ids | st.just(""))
    | st.builds(port.Edit, ids, texts)
    | st.builds(port.Revoke, ids)
    | st.builds(port.Reaction, ids, texts)
    | st.builds(port.Location, floats, floats, texts, st.booleans())
    | st.builds(port.Other, st.sampled_from(port.OtherKind), texts)
)
events = (
    st.builds(port.Message, ids, chats, people, contents, times, st.booleans(), texts)
    | st.builds(port.Undecryptable, ids, chats, people, times, st.booleans())
    | st.builds(
        port.Receipt,
        chats,
        people,
        st.lists(ids, max_size=5).map(tuple),
        st.sampled_from(port.ReceiptKind),
        times,
        st.booleans(),
    )
    | st.builds(port.Typing, chats, people, st.sampled_from(port.TypingState))
    | st.builds(port.Presence, people, st.booleans(), st.none() | times)
    | st.builds(
        port.Contacts,
        st.lists(st.builds(port.Contact, chats, texts, texts), max_size=5).map(tuple),
        st.booleans(),
    )
    | st.builds(port.Call, ids, people, times, st.booleans(), st.booleans())
    | st.builds(port.Code, st.sampled_from(port.CodeKind), texts, floats)
    | st.builds(port.Link, st.sampled_from(Reason), times)
    | st.builds(port.Lost, texts)
)


@BOUND
@given(st.lists(events, max_size=6))
def test_every_event_becomes_well_formed_stanzas(heard: list[port.Event]) -> None:
    """Expat parses what is made, it is addressed to the owner or the owner's server, and comes from the gateway."""
    bridge = Dialogue().knows(ANA)
    for event in heard:
        done = pipeline.from_whatsapp(event, bridge.context)
        pipeline.keep(done, bridge.books)
        for stanza in (*done.durable, *done.transient):
            read = fromstring(tostring(stanza))  # noqa: S314 - what is under test
            assert read.get("to") in {OWNER, "example.test"}
            assert DOMAIN == str(read.get("from")).partition("/")[0].rpartition("@")[2]
            assert [child.tag for child in stanza.iter()] == [child.tag for child in read.iter()]
            if read.tag == f"{{{xml.CLIENT}}}message":
                assert read.get("id")


@BOUND
@given(content=contents, letter=st.sampled_from(["&", "\U0001f600", "x", "\x00", '"']), from_me=st.booleans())
def test_no_stanza_is_larger_than_the_server_takes(content: port.Content, letter: str, *, from_me: bool) -> None:
    """Even a text of nothing but characters that XML writes long fits into one stanza."""
    huge = letter * (2 * MAX_TEXT)
    match content:
        case port.Text() | port.Edit():
            content = port.Text(huge)
        case port.Other(kind):
            content = port.Other(kind, huge)
        case port.Location(latitude, longitude):
            content = port.Location(latitude, longitude, huge)
        case _:
            pass
    bridge = Dialogue().knows(ANA)
    event = port.Message("3EB001", FAMILY, ANA, content, NOW, from_me, huge)
    for stanza in pipeline.from_whatsapp(event, bridge.context).durable:
        assert STANZA_LIMIT > len(tostring(stanza, encoding="utf-8"))


namespaces = st.sampled_from(
    [
        xml.CLIENT,
        xml.RECEIPTS,
        xml.MARKERS,
        xml.CHATSTATES,
        xml.REPLACE,
        xml.OOB,
        xml.DISCO_INFO,
        xml.PING,
        xml.ROSTER,
        "vcard-temp",
        "urn:xmpp:omemo:2",
        "urn:xmpp:reactions:0",
        "http://jabber.org/protocol/muc",
        "",
    ]
)
locals_ = st.sampled_from(
    [
        "body",
        "subject",
        "received",
        "displayed",
        "composing",
        "gone",
        "replace",
        "x",
        "query",
        "ping",
        "encrypted",
        "show",
    ]
)
words = st.text(
    st.characters(codec="utf-8", exclude_characters=[chr(n) for n in range(32) if n not in {9, 10, 13}]), max_size=30
)
nodes: st.SearchStrategy[Element] = st.deferred(
    lambda: st.builds(
        _node, locals_, namespaces, words, st.dictionaries(st.sampled_from(["id", "node", "var"]), words), children
    )
)
children: st.SearchStrategy[list[Element]] = st.lists(nodes, max_size=3)
jids = (
    st.sampled_from(
        [
            f"+447700900123@{DOMAIN}",
            f"lid-5005@{DOMAIN}/r",
            f"{FAMILY.group}@{DOMAIN}",
            f"nobody@{DOMAIN}",
            DOMAIN,
            "",
            "@",
            "a@b@c/d/e",
        ]
    )
    | words
)


def _node(name: str, ns: str, text: str, attributes: dict[str, str], inner: list[Element]) -> Element:
    made = Element(f"{{{ns}}}{name}" if ns else name, attributes)
    made.text = text
    made.extend(inner)
    return made


TYPES = ["chat", "normal", "groupchat", "error", "get", "set", "result", "probe", "subscribe", "unavailable", "?"]
stanzas = st.builds(
    lambda name, attributes, inner: _node(name, xml.CLIENT, "", attributes, inner),
    st.sampled_from(["message", "iq", "presence", "other"]),
    st.fixed_dictionaries(
        {"from": st.sampled_from([OWNER, f"{OWNER}/phone", "mallory@example.test", ""])},
        optional={
            "to": jids,
            "type": st.sampled_from(TYPES),
            "id": words,
        },
    ),
    children,
)  # fmt: skip


@BOUND
@given(st.lists(stanzas, max_size=4), st.lists(events, max_size=3))
def test_every_stanza_becomes_intents(said: list[Element], heard: list[port.Event]) -> None:
    """Nothing that a client sends raises; replies are well-formed, go back to whom they answer, and errors say what."""
    bridge = Dialogue().knows(ANA)
    for event in heard:
        bridge.hears(event)
    for stanza in said:
        pipeline.needs_journal(stanza)
        for intent in pipeline.from_xmpp(stanza, bridge.context):
            _check(intent, stanza)


def _check(intent: Intent, stanza: Element) -> None:
    if isinstance(intent, Send):
        assert isinstance(intent.content, port.Text | port.Edit)
        assert MAX_TEXT >= len(intent.content.body) > 0
    if isinstance(intent, Reply):
        read = fromstring(tostring(intent.element))  # noqa: S314 - what is under test
        assert OWNER == str(read.get("to")).partition("/")[0]
        if read.get("type") == "error":
            assert stanza.get("type") != "error"
            assert read.find(f"{{{xml.CLIENT}}}error/*") is not None


@BOUND
@given(stanzas)
def test_message_of_the_owner_is_never_met_with_silence(stanza: Element) -> None:
    """Words, whatever else comes with them, are sent or refused."""
    stanza.tag = f"{{{xml.CLIENT}}}message"
    stanza.set("from", f"{OWNER}/phone")
    if stanza.get("type") == "error":
        stanza.set("type", "chat")
    stanza.insert(0, _node("body", xml.CLIENT, "hello", {}, []))
    keys_only = stanza.find("{urn:xmpp:omemo:2}encrypted") is not None
    intents = pipeline.from_xmpp(stanza, Dialogue().knows(ANA).context)
    assert keys_only or any(isinstance(intent, Send | Reply) for intent in intents)
