"""Text, edits and the owner's own messages from the phone, as dialogues."""

import pytest

from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Send, Subscribe
from ponton_bridge.features.stanzas import MAX_BYTES, MAX_TEXT, stanza_id
from ponton_bridge.model.address import Address
from ponton_bridge.model.books import Pair
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import Edit, OtherKind, Text
from tests.unit.dialogue import ANA, FAMILY, HIDDEN, ME, NOW, OWNER, Dialogue, elements, from_ana, parse, xml

ANA_JID = "+447700900123@wa.example.test"
CHAT = f"<message from='{OWNER}/phone' to='{ANA_JID}' type='chat' id='m1'>"


def test_text_arrives() -> None:
    """A text becomes a message with WhatsApp's id that asks for a receipt and can be marked."""
    bridge = Dialogue().knows(ANA, name="Ana")
    assert [
        xml(f"""
        <message type='chat' from='{ANA_JID}/whatsapp' to='alice@example.test' id='3EB0AA'>
          <body>hello *you*</body>
          <request xmlns='urn:xmpp:receipts'/>
          <markable xmlns='urn:xmpp:chat-markers:0'/>
          <nick xmlns='http://jabber.org/protocol/nick'>Ana</nick>
        </message>""")
    ] == bridge.hears(from_ana("3EB0AA", Text("hello *you*")))
    assert [Pair("1001@lid", "3EB0AA", "3EB0AA", "1001@lid", from_me=False, time=NOW)] == bridge.books.pairs


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_empty_text_says_so(text: str) -> None:
    """A client shows a blank body as nothing at all, so it gets a line."""
    [stanza] = Dialogue().knows(ANA).hears(from_ana("3EB0AA", Text(text)))
    assert "[sent an empty message]" == parse(stanza).findtext("{*}body")


def test_old_text_has_its_time() -> None:
    """What was written long before says when, in the gateway's name."""
    bridge = Dialogue().knows(ANA, name="Ana")
    [stanza] = bridge.hears(from_ana("3EB0AA", Text("late"), time=NOW - 3 * 86400))
    assert xml("<delay xmlns='urn:xmpp:delay' from='wa.example.test' stamp='2026-11-15T11:06:40Z'/>") in elements(
        stanza
    )


def test_fresh_text_has_no_delay() -> None:
    """A message of this moment carries no delay, nor does one from a clock that is ahead."""
    bridge = Dialogue().knows(ANA)
    for written in (NOW, NOW - 29, NOW + 100):
        [stanza] = bridge.hears(from_ana(f"3EB0{written}", Text("now"), time=written))
        assert "urn:xmpp:delay" not in stanza


def test_answer_names_what_it_answers() -> None:
    """A reply to a known message points at it, whoever wrote that one; an unknown one is left out."""
    bridge = Dialogue().knows(ANA, name="Ana")
    bridge.hears(from_ana("3EB001", Text("first")))
    bridge.sends(f"{CHAT}<body>mine</body></message>", "3EB002")
    answers = {
        "3EB001": xml(f"<reply xmlns='urn:xmpp:reply:0' to='{ANA_JID}' id='3EB001'/>"),
        "3EB002": xml(f"<reply xmlns='urn:xmpp:reply:0' to='{OWNER}' id='m1'/>"),
    }
    for number, (quoted, reply) in enumerate(answers.items()):
        [stanza] = bridge.hears(from_ana(f"3EB01{number}", Text("yes", quoted=quoted)))
        assert reply in elements(stanza)
    [stanza] = bridge.hears(from_ana("3EB020", Text("yes", quoted="3EB0NOBODY")))
    assert "urn:xmpp:reply:0" not in stanza


def test_edit_replaces_the_first_version() -> None:
    """An edit of a known message is a correction of its first id, also the second time."""
    bridge = Dialogue().knows(ANA, name="Ana")
    bridge.hears(from_ana("3EB001", Text("helo")))
    for edit in ("3EB002", "3EB003"):
        [stanza] = bridge.hears(from_ana(edit, Edit("3EB001", "hello")))
        assert xml("<replace xmlns='urn:xmpp:message-correct:0' id='3EB001'/>") in elements(stanza)
        assert "<body>hello</body>" in stanza


def test_contact_known_by_lid_only() -> None:
    """Somebody without a known number has a JID of their own, and can be answered."""
    bridge = Dialogue().knows(HIDDEN)
    [stanza] = bridge.hears(from_ana("3EB001", Text("hi"), chat=HIDDEN, sender=HIDDEN))
    assert 'from="lid-5005@wa.example.test/whatsapp"' in stanza
    [send, _] = bridge.says(f"<message from='{OWNER}' to='lid-5005@wa.example.test' id='m'><body>yes</body></message>")
    assert Send(HIDDEN, Text("yes"), "m") == send


def test_hostile_text_and_names_are_cleaned() -> None:
    """Control characters, surrogates and direction marks of a stranger do not reach the stream or a name."""
    bridge = Dialogue()
    bridge.books.known.append(ANA)
    push = "Ev\u202eil\nBob wrote"
    stanzas = bridge.hears(from_ana("3EB001", Text("a\x00b\ud800c\r\nd\x0b<&>"), push_name=push))
    message = next(stanza for stanza in stanzas if stanza.startswith("<message"))
    assert "<body>a\ufffdb\ufffdc\nd\ufffd&lt;&amp;&gt;</body>" in message
    assert "Evil Bob wrote</" in message


@pytest.mark.parametrize(("letter", "most"), [("x", MAX_TEXT), ("&", MAX_BYTES // 5), ("\U0001f600", MAX_BYTES // 4)])
def test_endless_text_is_cut(letter: str, most: int) -> None:
    """A text that is too long, in characters or as XML writes it, is cut and says so; one that just fits is whole."""
    bridge = Dialogue().knows(ANA)
    [stanza] = bridge.hears(from_ana("3EB001", Text(letter * (MAX_TEXT + 10))))
    body = parse(stanza)[0].text or ""
    assert body.endswith("[…]")
    assert most * 0.999 <= len(body) <= most
    [stanza] = bridge.hears(from_ana("3EB002", Text(letter * most)))
    assert letter * most == parse(stanza)[0].text


def test_odd_ids_become_plain_words() -> None:
    """An id that is no plain word is replaced by a digest, the same each time, and still finds its message."""
    odd = "<&\x00" + "z" * 500
    bridge = Dialogue().knows(ANA)
    [stanza] = bridge.hears(from_ana(odd, Text("hi")))
    assert f'id="{stanza_id(odd)}"' in stanza
    assert 35 == len(stanza_id(odd))
    assert odd == bridge.books.by_xmpp("1001@lid", stanza_id(odd)).whatsapp  # type: ignore[union-attr]  # found or fail


def test_text_of_the_owner_is_sent() -> None:
    """A chat message becomes a text to the contact and is worth asking for the contact's presence."""
    bridge = Dialogue().knows(ANA)
    assert [Send(ANA, Text("hi *there*"), "m1"), Subscribe(ANA)] == bridge.says(
        f"{CHAT}<body>hi *there*</body></message>"
    )


@pytest.mark.parametrize("local", ["447700900123", "+447700900123", "lid-1001"])
def test_every_form_of_a_jid_reaches_the_same_contact(local: str) -> None:
    """A number without plus and the LID's own JID name the same person as the number."""
    bridge = Dialogue().knows(ANA)
    [send, _] = bridge.says(f"<message from='{OWNER}' to='{local}@wa.example.test' id='m'><body>x</body></message>")
    assert Send(ANA, Text("x"), "m") == send


def test_subject_is_not_lost() -> None:
    """A subject goes before the text."""
    bridge = Dialogue().knows(ANA)
    [send, _] = bridge.says(f"{CHAT}<subject>Lunch</subject><body>at one?</body></message>")
    assert Send(ANA, Text("Lunch\nat one?"), "m1") == send


def test_correction_of_the_owner_is_an_edit() -> None:
    """A correction names the own message by WhatsApp's id."""
    bridge = Dialogue().knows(ANA)
    bridge.sends(f"{CHAT}<body>helo</body></message>", "3EB002")
    [send, _] = bridge.says(f"{CHAT}<body>hello</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>")
    assert Send(ANA, Edit("3EB002", "hello"), "m1") == send


@pytest.mark.parametrize(
    ("target", "later", "why"),
    [("m1", 901, "15 minutes"), ("m9", 0, "not known"), ("3EB001", 0, "not known")],
    ids=["too old", "unknown", "not the owner's"],
)
def test_correction_that_cannot_be_made_is_refused(target: str, later: int, why: str) -> None:
    """An old, unknown or foreign message cannot be corrected, and the error says why."""
    bridge = Dialogue().knows(ANA)
    bridge.hears(from_ana("3EB001", Text("hi")))
    bridge.sends(f"{CHAT}<body>helo</body></message>", "3EB002")
    bridge.now += later
    [refusal] = bridge.says(
        f"{CHAT}<body>x</body><replace xmlns='urn:xmpp:message-correct:0' id='{target}'/></message>"
    )
    assert isinstance(refusal, str)
    assert why in refusal


def test_taken_message_is_remembered() -> None:
    """The pair of ids is noted when WhatsApp has the message; without a stanza id there is nothing to note."""
    bridge = Dialogue().knows(ANA)
    bridge.sends(f"{CHAT}<body>x</body></message>", "3EB002")
    bridge.sends(f"<message from='{OWNER}' to='{ANA_JID}'><body>x</body></message>", "3EB003")
    assert [Pair("1001@lid", "3EB002", "m1", "", from_me=True, time=NOW)] == bridge.books.pairs


def test_failure_is_told() -> None:
    """What WhatsApp refuses becomes an error stanza with its sentence, never silence."""
    cause = port.NotOnWhatsApp("Nobody has this number at WhatsApp.")
    done = pipeline.failed(parse(f"{CHAT}<body>x</body></message>"), cause, Dialogue().context)
    assert [
        xml(f"""
        <message type='error' from='{ANA_JID}' to='{OWNER}/phone' id='m1'><error type='cancel'>
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Nobody has this number at WhatsApp.</text>
        </error></message>""")
    ] == [xml(stanza) for stanza in done.durable]


# ---- from the phone -------------------------------------------------------------------------------------------


def own(id_: str, content: port.Content, chat: Address = ANA, time: int = NOW) -> port.Message:
    """A message that the owner wrote on the phone."""
    return port.Message(id_, chat, ME, content, time, from_me=True)


def test_message_from_the_phone_is_shown_as_sent() -> None:
    """The owner's server is asked to act as if the owner's client had sent it."""
    bridge = Dialogue().knows(ANA)
    assert [
        xml(f"""
        <message from='wa.example.test' to='example.test' id='r1'><privilege xmlns='urn:xmpp:privilege:2'>
          <forwarded xmlns='urn:xmpp:forward:0'>
            <message xmlns='jabber:client' from='alice@example.test' to='{ANA_JID}' type='chat' id='3A01'>
              <body>from my phone</body>
            </message></forwarded></privilege></message>""")
    ] == bridge.hears(own("3A01", Text("from my phone")))
    assert [Pair("1001@lid", "3A01", "3A01", "9009@lid", from_me=True, time=NOW)] == bridge.books.pairs


def test_echo_of_the_phone_is_ignored() -> None:
    """The server's copy of it, which comes back to us, is not sent to WhatsApp a second time."""
    bridge = Dialogue().knows(ANA)
    bridge.hears(own("3A01", Text("from my phone")))
    echo = f"<message from='{OWNER}' to='{ANA_JID}' type='chat' id='3A01'><body>from my phone</body></message>"
    assert [] == bridge.says(echo)
    assert [] != bridge.says(echo.replace("3A01", "3A02"))


def test_clients_own_id_is_no_echo() -> None:
    """A client that uses an id again is not taken for an echo: silence would lose a message."""
    bridge = Dialogue().knows(ANA)
    bridge.sends(f"{CHAT}<body>one</body></message>", "3EB002")
    assert [] != bridge.says(f"{CHAT}<body>two</body></message>")


def test_photo_from_the_phone_is_a_line() -> None:
    """What the owner sent from the phone and cannot be carried yet still shows in the conversation."""
    bridge = Dialogue().knows(ANA)
    [stanza] = bridge.hears(own("3A01", port.Other(OtherKind.IMAGE, "look")))
    assert "[sent a photo, from the phone] look" in stanza
    [stanza] = bridge.hears(own("3A02", Text("[brackets: look at your phone] are kept")))
    assert "[brackets, from the phone]" not in stanza


def test_edit_from_the_phone_corrects() -> None:
    """A message corrected on the phone is corrected in the clients."""
    bridge = Dialogue().knows(ANA)
    bridge.sends(f"{CHAT}<body>helo</body></message>", "3EB002")
    [stanza] = bridge.hears(own("3A01", Edit("3EB002", "hello")))
    assert xml("<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>") in elements(stanza)


def test_own_group_message_is_shown_in_the_groups_chat() -> None:
    """What the owner wrote in a group from the phone is shown as sent there, late ones with their time."""
    bridge = Dialogue().knows(ANA)
    [stanza] = bridge.hears(own("3A01", Text("hi all"), chat=FAMILY, time=NOW - 600))
    assert 'to="120363001122334455@wa.example.test"' in stanza
    assert 'stamp="2026-11-18T10:56:40Z"' in stanza


def test_silent_kinds_stay_silent_from_the_phone() -> None:
    """The owner's own status posts are not shown."""
    assert [] == Dialogue().knows(ANA).hears(own("3A01", port.Other(OtherKind.STATUS, "my day")))
