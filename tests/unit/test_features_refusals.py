"""What is not carried is answered with an error that says why: never silence, never a raw error."""

import pytest

from ponton_bridge.features import pipeline
from ponton_bridge.features.stanzas import MAX_TEXT
from tests.unit.dialogue import ANA, DOMAIN, FAMILY, OWNER, Dialogue, parse, xml

ANA_JID = "+447700900123@wa.example.test"
OMEMO = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AA</payload></encrypted>"


def say(inner: str, to: str = ANA_JID, kind: str = "chat") -> list[object]:
    """Let the owner send a message to Ana."""
    bridge = Dialogue().knows(ANA)
    return list(bridge.says(f"<message from='{OWNER}/phone' to='{to}' type='{kind}' id='m1'>{inner}</message>"))


def error_of(said: list[object]) -> tuple[str, str]:
    """Condition and sentence of the one error stanza."""
    [answer] = said
    stanza = parse(str(answer))
    assert ("error", "m1", f"{OWNER}/phone") == (stanza.get("type"), stanza.get("id"), stanza.get("to"))
    condition, text = stanza[0]
    return condition.tag.rpartition("}")[2], text.text or ""


@pytest.mark.parametrize(
    "payload",
    [
        OMEMO,
        f"<body>I sent you an OMEMO encrypted message</body>{OMEMO}",
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>AA</payload></encrypted>",
        "<body>This message is encrypted.</body><x xmlns='jabber:x:encrypted'>AA</x>",
        "<openpgp xmlns='urn:xmpp:openpgp:0'>AA</openpgp>",
        "<body>?OTR:AAMC</body>",
        "<body>hidden</body><encryption xmlns='urn:xmpp:eme:0' namespace='urn:example'/>",
        "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>AA</e2e>",
    ],
)
def test_encrypted_message_is_answered_with_help(payload: str) -> None:
    """The error says in words how to switch encryption off in the common clients."""
    condition, text = error_of(say(payload))
    assert "not-acceptable" == condition
    for client in ("Conversations", "Gajim", "Dino", "Monal", "Movim", "profanity"):
        assert client in text


def test_keys_without_words_are_dropped() -> None:
    """An OMEMO message that only carries keys is nothing the owner has said."""
    assert [] == say("<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>")


NOT_YET = "feature-not-implemented"
OOB = "<body>https://x.test/a</body><x xmlns='jabber:x:oob'><url>https://x.test/a</url></x>"
SIMS = "<reference xmlns='urn:xmpp:reference:0'><media-sharing xmlns='urn:xmpp:sims:1'/></reference>"


@pytest.mark.parametrize(
    ("inner", "condition", "words"),
    [
        (OOB, NOT_YET, "Files"),
        ("<body>u</body><file-sharing xmlns='urn:xmpp:sfs:0'/>", NOT_YET, "Files"),
        (f"<body>u</body>{SIMS}", NOT_YET, "Files"),
        ("<sticker xmlns='urn:xmpp:stickers:0'/>", NOT_YET, "Stickers"),
        ("<body>was deleted</body><retract xmlns='urn:xmpp:message-retract:1' id='m0'/>", NOT_YET, "Deleting"),
        ("<body>👍</body><reactions xmlns='urn:xmpp:reactions:0' id='m0'/>", NOT_YET, "Reactions"),
        ("<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>", NOT_YET, "Calls"),
        ("<x xmlns='jabber:x:conference' jid='r@x.test'/>", NOT_YET, "rooms"),
        ("<attention xmlns='urn:xmpp:attention:0'/>", NOT_YET, "nudge"),
        ("<html xmlns='http://jabber.org/protocol/xhtml-im'/>", "not-acceptable", "plain text"),
        ("<body/>", "not-acceptable", "empty"),
        ("<body> \n </body>", "not-acceptable", "empty"),
        ("<subject>only</subject>", "not-acceptable", "empty"),
        ("<thing xmlns='urn:example'/>", NOT_YET, "not carried"),
    ],
)
def test_payload_without_carriage_is_refused(inner: str, condition: str, words: str) -> None:
    """The fallback body is not sent as if the owner had written it."""
    given, text = error_of(say(inner))
    assert condition == given
    assert words in text


def test_words_beside_unknown_payloads_are_sent() -> None:
    """Formatting, hints, origin ids and thread marks do not stop a plain text."""
    said = say(
        "<body>hi</body><html xmlns='http://jabber.org/protocol/xhtml-im'/><active xmlns='http://jabber.org/protocol/chatstates'/>"
        "<origin-id xmlns='urn:xmpp:sid:0' id='m1'/><request xmlns='urn:xmpp:receipts'/><thread>t</thread>"
    )
    assert ["Send", "Subscribe"] == [type(each).__name__ for each in said]


def test_too_long_text_is_refused_with_its_size() -> None:
    """WhatsApp's limit is told, with what was tried; the limit itself is still sent."""
    _, text = error_of(say(f"<body>{'x' * (MAX_TEXT + 1)}</body>"))
    assert "65,537" in text
    assert 2 == len(say(f"<body>{'x' * MAX_TEXT}</body>"))


@pytest.mark.parametrize("local", ["nobody", "123", "+0123456", "lid-", "4477009001231234567"])
def test_wrong_number_is_refused_with_a_hint(local: str) -> None:
    """The sentence shows how a number is written."""
    condition, text = error_of(say("<body>x</body>", to=f"{local}@wa.example.test"))
    if condition != "feature-not-implemented":  # 16 digits and more are a group
        assert ("bad-request", True) == (condition, "+44" in text)


def test_group_cannot_be_written_to() -> None:
    """A group's line cannot be answered yet, and the owner is told."""
    condition, text = error_of(say("<body>x</body>", to=f"{FAMILY.group}@{DOMAIN}"))
    assert ("feature-not-implemented", True) == (condition, "Groups" in text)


@pytest.mark.parametrize("kind", ["groupchat", "headline"])
def test_other_types_are_refused(kind: str) -> None:
    """Room messages and headlines are not carried."""
    assert "feature-not-implemented" == error_of(say("<body>x</body>", kind=kind))[0]


@pytest.mark.parametrize(
    "inner",
    ["", "<no-store xmlns='urn:xmpp:hints'/>", "<received xmlns='urn:xmpp:receipts' id='x'/>"],
)
def test_what_says_nothing_gets_no_answer(inner: str) -> None:
    """An empty stanza, hints and receipts are no words that could be lost."""
    assert [] == say(inner)


def test_bounces_are_never_answered() -> None:
    """An error is not answered with an error."""
    assert [] == say(f"<body>x</body>{OMEMO}", kind="error")


def test_bare_gateway_is_not_the_shards() -> None:
    """What comes to the bare domain by mistake is answered, not swallowed."""
    [answer] = say("<body>help</body>", to=DOMAIN)
    assert "service-unavailable" in str(answer)


def test_only_the_owner_is_heard() -> None:
    """A stanza in another name asks for nothing."""
    bridge = Dialogue().knows(ANA)
    assert [] == bridge.says(f"<message from='mallory@example.test' to='{ANA_JID}'><body>x</body></message>")
    assert [] == bridge.says(f"<unknown from='{OWNER}' to='{ANA_JID}'/>")


ANA_KEY = "447700900123@s.whatsapp.net"
TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
HINT = "<no-store xmlns='urn:xmpp:hints'/>"


@pytest.mark.parametrize(
    ("stanza", "key"),
    [
        (f"<message to='{ANA_JID}'><body>x</body></message>", ANA_KEY),
        ("<message to='447700900123@w/r'><body>x</body></message>", ANA_KEY),
        (f"<message to='{ANA_JID}'><displayed xmlns='urn:xmpp:chat-markers:0' id='x'/></message>", ANA_KEY),
        (f"<message to='{ANA_JID}'><body>x</body>{TYPING}</message>", ANA_KEY),
        ("<message to='lid-5@w'><body>x</body></message>", "5@lid"),
        ("<message to='nobody@w/r'><body>x</body></message>", "nobody@w"),
        ("<message><body>x</body></message>", ""),
        (f"<message to='{ANA_JID}' type='error'><body>x</body></message>", None),
        (f"<message to='{ANA_JID}'>{TYPING}</message>", None),
        (f"<message to='{ANA_JID}'>{TYPING}{HINT}</message>", None),
        (f"<message to='{ANA_JID}'/>", None),
        (f"<iq to='{ANA_JID}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", None),
        (f"<presence to='{ANA_JID}'/>", None),
    ],
)
def test_journal_takes_what_says_something(stanza: str, key: str | None) -> None:
    """Messages are journaled in the order of their chat; what can be repeated or forgotten is not."""
    assert key == pipeline.needs_journal(parse(stanza))


def test_error_text_is_clean() -> None:
    """What came from the owner's client cannot break the error that answers it."""
    [answer] = say("<body>x</body>", to="a&amp;b@wa.example.test")
    assert xml(str(answer)) == answer
