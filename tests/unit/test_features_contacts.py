"""Roster, presence and what a contact's JID answers, as dialogues."""

import base64
import hashlib

import pytest

from ponton_bridge.features import contacts, presence
from ponton_bridge.features.context import KNOWN_PRESENCES, SetPresence
from ponton_bridge.features.disco import VER
from ponton_bridge.features.presence import MAX_CLIENTS
from ponton_bridge.model.address import Address
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import Contact, Contacts, Text
from tests.unit.dialogue import ANA, BOB, DOMAIN, FAMILY, HIDDEN, NOW, OWNER, Dialogue, elements, from_ana, parse, xml

ANA_JID = "+447700900123@wa.example.test"
CAPS = f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://ponton.im/contact' ver='{VER}'/>"
NICK = "<nick xmlns='http://jabber.org/protocol/nick'>Ana</nick>"
AWAY = xml(f"<presence from='{ANA_JID}/whatsapp' to='{OWNER}'><show>away</show>{CAPS}{NICK}</presence>")


def push(jid: str, name: str, number: int = 1) -> str:
    """The roster push of one contact."""
    return xml(f"""
        <iq type='set' from='{DOMAIN}' to='{OWNER}' id='roster-r{number}'><query xmlns='jabber:iq:roster'>
          <item jid='{jid}' name='{name}' subscription='both'><group>WhatsApp</group></item></query></iq>""")


def removal(jid: str, number: int = 1) -> str:
    """The roster push that removes one contact."""
    return xml(f"""
        <iq type='set' from='{DOMAIN}' to='{OWNER}' id='roster-r{number}'><query xmlns='jabber:iq:roster'>
          <item jid='{jid}' subscription='remove'/></query></iq>""")


# ---- roster ---------------------------------------------------------------------------------------------------


def test_address_book_comes_into_the_roster() -> None:
    """Contacts with a name are pushed with it, once; those with a push name only are group members, and left out."""
    bridge = Dialogue()
    book = Contacts((Contact(ANA, "Ana A.", "ana"), Contact(BOB, "", "Bob"), Contact(FAMILY, "Family")))
    heard = bridge.hears(book)
    assert [push(ANA_JID, "Ana A.")] == [each for each in heard if each.startswith("<iq")]
    assert [f"{ANA_JID}/whatsapp"] == [parse(each).get("from") for each in heard if each.startswith("<presence")]
    assert [] == bridge.hears(book)


def test_names_of_groups_are_kept_apart() -> None:
    """A group's name is known, followed when it changes, and never a roster item, a presence or a gone contact."""
    bridge = Dialogue()
    for name in ("Family", "Clan"):
        assert [] == bridge.hears(Contacts((Contact(FAMILY, name),)))
        assert name == bridge.context.name(FAMILY)
    bridge.hears(Contacts((Contact(ANA, "Ana"),), complete=True))
    assert "Clan" == bridge.context.name(FAMILY)
    assert [1, 1] == [
        len(contacts.everything(bridge.context).durable),
        len(presence.everybody(bridge.context, linked=True)),
    ]


def test_renamed_contact_is_pushed_again() -> None:
    """A new name in the phone's address book reaches the roster; a new push name behind a name does not."""
    bridge = Dialogue()
    bridge.hears(Contacts((Contact(ANA, "Ana A.", "ana"),)))
    assert [push(ANA_JID, "Ana B.", 2)] == bridge.hears(Contacts((Contact(ANA, "Ana B.", "ana"),)))
    assert [] == bridge.hears(Contacts((Contact(ANA, "Ana B.", "annie"),)))
    assert [(ANA, "Ana B.", "annie")] == list(bridge.books.contacts())


def test_contact_that_is_gone_is_removed() -> None:
    """Only a complete address book removes, and only those whom it had named: people one has talked to stay."""
    bridge = Dialogue()
    bridge.hears(Contacts((Contact(ANA, "Ana A."), Contact(BOB, "Bob B."))))
    bridge.hears(from_ana("3EB001", Text("hi"), chat=HIDDEN, sender=HIDDEN, push_name="Q"))
    bridge.numbers = iter(range(10, 20))
    assert [] == bridge.hears(Contacts((Contact(BOB, "Bob B."),)))
    assert [removal(ANA_JID, 10)] == bridge.hears(Contacts((Contact(BOB, "Bob B."),), complete=True))
    assert {BOB, HIDDEN} == {who for who, _, _ in bridge.books.contacts()}


def test_names_go_through_clean() -> None:
    """A name is one short line without marks that turn the direction of writing, whatever the phone's owner typed."""
    bridge = Dialogue()
    [iq, *_] = bridge.hears(Contacts((Contact(ANA, "An\u202ea\x00\n" + "x" * 300),)))
    assert 'name="Ana\ufffd ' in iq
    assert "…" in iq
    assert 200 > iq.count("x")


def test_stranger_who_writes_becomes_a_contact() -> None:
    """Whoever writes is in the roster from then on, under the push name; the second message pushes nothing."""
    bridge = Dialogue()
    heard = bridge.hears(from_ana("3EB001", Text("hi"), push_name="Ana"))
    assert [push(ANA_JID, "Ana"), AWAY] == [heard[0], heard[-1]]
    assert ["<message"] == [each[:8] for each in bridge.hears(from_ana("3EB002", Text("again"), push_name="Ana"))]


def test_whom_the_owner_writes_to_from_the_phone_becomes_a_contact() -> None:
    """The owner's own push name is not the contact's."""
    bridge = Dialogue()
    event = port.Message("3A01", ANA, BOB, Text("hi"), NOW, from_me=True, push_name="Alice")
    assert push(ANA_JID, "+447700900123") == bridge.hears(event)[0]
    assert [(ANA, "", "")] == list(bridge.books.contacts())


def test_group_members_and_broadcasts_are_no_contacts() -> None:
    """The roster holds those one talks with, not who happens to be in a group or posts to everybody."""
    bridge = Dialogue()
    bridge.hears(port.Message("3EB001", FAMILY, ANA, Text("hi"), NOW, push_name="Ana"))
    bridge.hears(from_ana("3EB002", port.Other(port.OtherKind.STATUS, "my day")))
    assert [] == list(bridge.books.contacts())


def test_contact_gets_its_number() -> None:
    """When the number behind a LID becomes known, the roster's JID changes, and the history of ids stays."""
    bridge = Dialogue()
    bridge.hears(from_ana("3EB001", Text("hi"), chat=HIDDEN, sender=HIDDEN, push_name="Q"))
    whole = Address(number="4915112345678", lid=HIDDEN.lid)
    bridge.numbers = iter(range(10, 20))
    heard = bridge.hears(port.Presence(whole, available=True))
    assert [removal("lid-5005@wa.example.test", 10), push("+4915112345678@wa.example.test", "Q", 11)] == heard[:2]
    assert "3EB001" == bridge.books.by_xmpp(whole.key, "3EB001").whatsapp  # type: ignore[union-attr]  # found or fail
    assert [] == [each for each in bridge.hears(port.Presence(whole, available=True)) if each.startswith("<iq")]


def test_contact_with_a_new_number_moves() -> None:
    """When WhatsApp tells another number for a LID, the roster's JID follows."""
    bridge = Dialogue().knows(ANA, name="Ana")
    moved = Address(number="447700900999", lid=ANA.lid)
    heard = bridge.hears(port.Presence(moved, available=True))
    assert [removal(ANA_JID), push("+447700900999@wa.example.test", "Ana", 2)] == heard[:2]


def test_whole_roster_can_be_pushed_again() -> None:
    """After the account was linked anew every contact is pushed."""
    bridge = Dialogue().knows(ANA, BOB, name="N")
    assert 2 == len(contacts.everything(bridge.context).durable)


# ---- subscriptions --------------------------------------------------------------------------------------------


def test_owner_adds_a_contact_by_number() -> None:
    """A subscription is accepted at once: the contact is kept, in the roster, and there."""
    bridge = Dialogue()
    said = bridge.says(f"<presence from='{OWNER}' to='447700900124@wa.example.test' type='subscribe'/>")
    assert [
        xml(f"<presence type='subscribed' from='447700900124@wa.example.test' to='{OWNER}'/>"),
        push("+447700900124@wa.example.test", "+447700900124"),
    ] == said[1:3]
    assert [Address(number="447700900124")] == [who for who, _, _ in bridge.books.contacts()]


@pytest.mark.parametrize("local", ["nobody", "120363001122334455", "123"])
def test_nobody_cannot_be_added(local: str) -> None:
    """A JID that stands for nobody, or for a group, is answered with unsubscribed."""
    expected = [xml(f"<presence type='unsubscribed' from='{local}@wa.example.test' to='{OWNER}'/>")]
    assert expected == Dialogue().says(f"<presence from='{OWNER}' to='{local}@wa.example.test' type='subscribe'/>")


# ---- presence -------------------------------------------------------------------------------------------------


def test_presence_of_a_contact() -> None:
    """Online is available, offline is away with the time last seen; both carry caps."""
    bridge = Dialogue().knows(ANA, name="Ana")
    online = xml(f"<presence from='{ANA_JID}/whatsapp' to='{OWNER}'>{CAPS}{NICK}</presence>")
    assert [online] == bridge.hears(port.Presence(ANA, available=True))
    idle = "<idle xmlns='urn:xmpp:idle:1' since='2026-11-18T11:05:40Z'/>"
    left = xml(f"<presence from='{ANA_JID}/whatsapp' to='{OWNER}'><show>away</show>{idle}{CAPS}{NICK}</presence>")
    assert [left] == bridge.hears(port.Presence(ANA, available=False, last_seen=NOW - 60))
    assert [AWAY] == bridge.hears(port.Presence(ANA, available=False))


def test_probe_is_answered_with_what_is_known() -> None:
    """A probe gets the last presence, away for one never seen; nobody and groups get none."""
    bridge = Dialogue().knows(ANA, name="Ana")
    probe = "<presence from='{}' to='{}@wa.example.test' type='probe'/>"
    assert [AWAY] == bridge.says(probe.format(OWNER, "+447700900123"))
    bridge.hears(port.Presence(ANA, available=True))
    [known] = bridge.says(probe.format(OWNER, "+447700900123"))
    assert "<show>" not in str(known)
    assert [] == bridge.says(probe.format(OWNER, "nobody")) + bridge.says(probe.format(OWNER, FAMILY.group))


def test_everybody_appears_and_leaves_with_the_link() -> None:
    """When the link ends, contacts are unavailable."""
    bridge = Dialogue().knows(ANA, name="Ana")
    assert [AWAY] == [xml(each) for each in presence.everybody(bridge.context, linked=True)]
    gone = xml(f"<presence type='unavailable' from='{ANA_JID}/whatsapp' to='{OWNER}'/>")
    assert [gone] == [xml(each) for each in presence.everybody(bridge.context, linked=False)]


def test_owner_is_online_while_a_client_is_in_front() -> None:
    """WhatsApp hears a change of the sum only: away, busy and gone clients do not count."""
    bridge = Dialogue()

    def shows(client: str, inner: str = "", type_: str = "") -> list[object]:
        kind = f" type='{type_}'" if type_ else ""
        return list(bridge.says(f"<presence from='{OWNER}/{client}' to='{DOMAIN}'{kind}>{inner}</presence>"))

    assert [SetPresence(available=True)] == shows("phone")
    assert [] == shows("desk", "<show>chat</show>")
    assert [] == shows("phone", "<show>away</show>")
    assert [SetPresence(available=False)] == shows("desk", "<show>dnd</show>")
    assert [SetPresence(available=True)] == shows("desk")
    assert [SetPresence(available=False)] == shows("desk", type_="unavailable")
    assert [] == shows("phone", type_="unavailable")


def test_broadcast_presence_to_contacts_is_not_counted() -> None:
    """The same presence comes to every contact: only the one to the gateway is used."""
    assert [] == Dialogue().says(f"<presence from='{OWNER}/phone' to='{ANA_JID}'/>")


def test_presence_memory_is_bounded() -> None:
    """Neither contacts nor clients can fill the memory."""
    bridge = Dialogue()
    for number in range(KNOWN_PRESENCES + 5):
        bridge.live.saw(str(number), port.Presence(ANA, available=True))
    for number in range(MAX_CLIENTS + 5):
        bridge.says(f"<presence from='{OWNER}/{number}' to='{DOMAIN}'/>")
    assert (KNOWN_PRESENCES, MAX_CLIENTS) == (len(bridge.live.presences), len(bridge.live.clients))
    assert "0" not in bridge.live.presences


def test_room_cannot_be_entered() -> None:
    """A client that tries to join a group is told that there are no rooms yet."""
    to = f"{FAMILY.group}@wa.example.test/al"
    [said] = Dialogue().says(
        f"<presence from='{OWNER}/phone' to='{to}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
    assert "feature-not-implemented" in str(said)


# ---- what a contact answers -----------------------------------------------------------------------------------


def ask(payload: str, to: str = f"{ANA_JID}/whatsapp", kind: str = "get") -> list[object]:
    """Let the owner's client ask a contact."""
    bridge = Dialogue().knows(ANA, name="Ana")
    return list(bridge.says(f"<iq from='{OWNER}/phone' to='{to}' type='{kind}' id='q'>{payload}</iq>"))


def test_caps_hash_is_that_of_the_answer() -> None:
    """The hash in the presence is computed from what disco answers for its node (XEP-0115, 5.1)."""
    [answer] = ask(f"<query xmlns='http://jabber.org/protocol/disco#info' node='https://ponton.im/contact#{VER}'/>")
    query = parse(str(answer))[0]
    found = [(each.tag.rpartition("}")[2], each.attrib) for each in query]
    identities = [f"{a['category']}/{a['type']}//{a['name']}<" for name, a in found if name == "identity"]
    features = sorted(a["var"] for name, a in found if name == "feature")
    text = "".join(sorted(identities)) + "".join(f"{feature}<" for feature in features)
    assert VER == base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()
    assert {"urn:xmpp:receipts", "urn:xmpp:chat-markers:0", "http://jabber.org/protocol/chatstates"} <= set(features)


def test_bare_contact_is_an_account() -> None:
    """The bare JID is a registered account, and offers no file transfer or room."""
    [answer] = ask("<query xmlns='http://jabber.org/protocol/disco#info'/>", to=ANA_JID)
    identity = "<identity xmlns='http://jabber.org/protocol/disco#info' category='account' type='registered'/>"
    assert xml(identity) in elements(str(answer))
    assert "conference" not in str(answer)
    assert "jabber:x:oob" not in str(answer)


def test_small_questions_are_answered() -> None:
    """Items, card, ping and version have answers of their own."""
    phone = "<TEL><CELL/><NUMBER>+447700900123</NUMBER></TEL>"
    card = f"<vCard xmlns='vcard-temp'><FN>Ana</FN><NICKNAME>Ana</NICKNAME>{phone}</vCard>"
    items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    answers = {
        items: items,
        "<vCard xmlns='vcard-temp'/>": card,
        "<ping xmlns='urn:xmpp:ping'/>": "",
        "<query xmlns='jabber:iq:version'/>": "<query xmlns='jabber:iq:version'><name>WhatsApp by Ponton</name>"
        "<version>1</version></query>",
    }
    for question, answer in answers.items():
        head = f"<iq type='result' from='{ANA_JID}/whatsapp' to='{OWNER}/phone' id='q'>"
        assert [xml(f"{head}{answer}</iq>")] == ask(question)


def test_hidden_contact_has_a_card_without_number() -> None:
    """Nobody's LID is passed off as a number."""
    [answer] = ask("<vCard xmlns='vcard-temp'/>", to="lid-5005@wa.example.test")
    assert "TEL" not in str(answer)
    assert "<FN>lid-5005</FN>" in str(answer)


@pytest.mark.parametrize(
    ("payload", "to", "kind", "condition"),
    [
        ("<query xmlns='jabber:iq:last'/>", ANA_JID, "get", "service-unavailable"),
        ("<ping xmlns='urn:xmpp:ping'/>", ANA_JID, "set", "service-unavailable"),
        ("<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", ANA_JID, "get", "item-not-found"),
        ("<ping xmlns='urn:xmpp:ping'/>", "nobody@wa.example.test", "get", "bad-request"),
        ("<ping xmlns='urn:xmpp:ping'/>", "120363001122334455@wa.example.test", "get", "service-unavailable"),
        ("<ping xmlns='urn:xmpp:ping'/>", DOMAIN, "get", "service-unavailable"),
        ("", ANA_JID, "get", "bad-request"),
        ("<ping xmlns='urn:xmpp:ping'/>", ANA_JID, "what", "bad-request"),
    ],
)
def test_every_other_question_is_refused_at_once(payload: str, to: str, kind: str, condition: str) -> None:
    """No get or set stays without an answer."""
    [answer] = ask(payload, to, kind)
    assert f"<{condition} " in str(answer)
    assert 'type="error"' in str(answer)


@pytest.mark.parametrize("kind", ["result", "error"])
def test_answers_are_not_answered(kind: str) -> None:
    """The results of our roster pushes end here."""
    assert [] == ask("", kind=kind)
