"""Phones in a world without wires: texts, copies, receipts, echoes, retries, repeats and being off."""

import pytest

from tests.sandbox import contract
from tests.sandbox.node import JID, Node, node
from tests.sandbox.phones import content
from tests.sandbox.phones.line import PhoneError
from tests.sandbox.phones.phone import TURN, WAITING, Phone
from tests.sandbox.phones.reception import Habits
from tests.unit.sandbox_box import Box, Companion, records


class Chat(Box):
    """Alice with one companion, and her contact Bob."""

    def __init__(self, bob: Habits | None = None) -> None:
        super().__init__()
        self.alice = self.phone("33612000001", "Alice", Habits(app_state=False))
        self.bob = self.phone("33612000002", "Bob", bob)
        self.desk = self.companion(self.alice)

    def say(self, phone: Phone, to: Phone, text: str) -> str:
        """One phone types a text to another."""
        message_id = phone.send(to.line.lid, content.text_message(text))
        self.run()
        return message_id


@pytest.fixture
def chat() -> Chat:
    """Alice, her companion, and Bob."""
    return Chat()


def texts(phone: Phone) -> list[object]:
    """The texts that a phone read, in order."""
    return [record["text"] for record in records(phone, "message")]


def spoiled(stanza: Node) -> Node:
    """The stanza with its ciphertext broken."""
    enc = stanza.need("enc")
    broken = bytes([*enc.data[:-10], enc.data[-10] ^ 1, *enc.data[-9:]])
    return Node("message", stanza.attrs, [Node("enc", enc.attrs, broken)])


def test_a_text_reaches_every_device_of_a_chat(chat: Chat) -> None:
    """Brings a contact's text to the phone and to the companion, each with its own ciphertext."""
    message_id = chat.say(chat.bob, chat.alice, "hello")
    (record,) = records(chat.alice, "message")
    (stanza,) = chat.desk.of("message")
    assert {
        "id": message_id,
        "from": "+33612000002",
        "chat": "+33612000002",
        "from_me": False,
        "text": "hello",
        "type": "conversation",
        "enc": "pkmsg",
        "asked": 0,
        "message": {"conversation": "hello"},
    }.items() <= record.items()
    assert ("hello", "Bob", "text") == (
        chat.desk.read(stanza).conversation,
        stanza.get("notify"),
        stanza.get("type"),
    )


def test_a_text_of_the_owner_goes_to_the_chat_and_to_the_companions(chat: Chat) -> None:
    """Sends what is typed on the phone to the contact, and to the companion as a copy that names the chat."""
    chat.say(chat.alice, chat.bob, "typed on the phone")
    (stanza,) = chat.desk.of("message")
    copy = content.sent_copy(chat.desk.read(stanza))
    assert copy is not None
    assert (str(chat.bob.line.lid), "typed on the phone") == (copy[0], copy[1].conversation)
    assert (chat.alice.line.lid, chat.bob.line.lid) == (stanza.jid("from"), stanza.jid("recipient"))
    assert ["typed on the phone"] == texts(chat.bob)


def test_a_companions_text_reaches_contact_and_own_phone(chat: Chat) -> None:
    """Reads a companion's text at the contact and, as an own message with its chat, on the own phone."""
    chat.desk.write(chat.bob.line.lid, "from the desk", "3EB0AA")
    chat.run()
    (at_bob,), (at_alice,) = records(chat.bob, "message"), records(chat.alice, "message")
    assert ("from the desk", "+33612000001", False, 1) == (
        at_bob["text"],
        at_bob["chat"],
        at_bob["from_me"],
        at_bob["device"],
    )
    assert ("from the desk", "+33612000002", True) == (
        at_alice["text"],
        at_alice["chat"],
        at_alice["from_me"],
    )
    kinds = [(r.get("type"), r.get("from")) for r in chat.desk.of("receipt")]
    assert {("sender", str(chat.alice.line.lid)), ("", str(chat.bob.line.lid))} == set(kinds)


def test_stops_sending_pkmsg_after_the_first_answer(chat: Chat) -> None:
    """Writes pkmsg until the companion has written, then msg."""
    for text in ("one", "two"):
        chat.say(chat.bob, chat.alice, text)
    first, second = chat.desk.of("message")
    chat.desk.read(first)
    chat.desk.write(chat.bob.line.lid, "answer", "3EB0AA")
    chat.run()
    chat.say(chat.bob, chat.alice, "three")
    kinds = [s.need("enc").get("type") for s in chat.desk.of("message")]
    assert ["pkmsg", "pkmsg", "msg"] == kinds
    assert "two" == chat.desk.read(second).conversation


@pytest.mark.parametrize(("habit", "types"), [("none", []), ("delivered", [""]), ("read", ["", "read"])])
def test_receipts_follow_the_habit(habit: str, types: list[str]) -> None:
    """Sends no receipt, delivered, or delivered and then read."""
    chat = Chat(Habits(receipts=habit))
    chat.desk.write(chat.bob.line.lid, "hello", "3EB0AA")
    chat.run()
    assert types == [r.get("type") for r in chat.desk.of("receipt", **{"from": str(chat.bob.line.lid)})]
    assert [t or "delivered" for t in types] == [
        r["type"] for r in records(chat.alice, "receipt") if r["from"] == "+33612000002"
    ]


def test_an_owner_reads_and_others_are_told(chat: Chat) -> None:
    """Sends one read receipt for several messages; the contact and the own companion learn of it."""
    ids = [chat.say(chat.bob, chat.alice, text) for text in ("one", "two", "three")]
    chat.alice.receipt(chat.bob.line.lid, ids)
    chat.run()
    read = next(r for r in records(chat.bob, "receipt") if r["type"] == "read")
    assert (ids, "+33612000001") == (read["ids"], read["from"])
    (own,) = chat.desk.of("receipt", type="read")
    assert (chat.alice.line.lid, chat.bob.line.lid) == (own.jid("from"), own.jid("recipient"))


def test_echoes_after_its_delay_and_never_an_echo() -> None:
    """Sends a text back after the habit's delay; two echoing contacts stop after one round."""
    chat = Chat(Habits(echo=0.05))
    chat.alice.habits.echo = 0.05
    chat.alice.send(chat.bob.line.lid, content.text_message("again"))
    chat.run(0.04)
    assert [] == texts(chat.alice)
    chat.run(0.02)
    assert ["again"] == texts(chat.alice)
    chat.run(10)
    assert (["again"], ["again"]) == (texts(chat.alice), texts(chat.bob))


def test_echoes_texts_alone() -> None:
    """Sends no reaction, caption or location back, and no own message."""
    chat = Chat(Habits(echo=0))
    for message in (
        {"reactionMessage": {"text": "+"}},
        {"imageMessage": {"caption": "c"}},
        {"locationMessage": {"name": "here"}},
        {"extendedTextMessage": {"text": "text"}},
    ):
        chat.alice.send(chat.bob.line.lid, content.from_json(message))
    chat.bob.send(chat.alice.line.lid, content.text_message("own"))
    chat.run()
    assert ["own", "text"] == sorted(map(str, texts(chat.alice)))


def test_typing_and_presence_reach_the_companion(chat: Chat) -> None:
    """Shows composing, recording, paused, and coming online to those who asked."""
    for state in ("composing", "recording", "paused"):
        chat.bob.typing(chat.alice.line.lid, state)
    chat.alice.subscribe(chat.bob.line.lid)
    chat.bob.presence("available")
    chat.run()
    shown = [s.children[0] for s in chat.desk.of("chatstate")]
    assert [("composing", ""), ("composing", "audio"), ("paused", "")] == [(s.tag, s.get("media")) for s in shown]
    assert ["composing", "recording", "paused"] == [r["state"] for r in records(chat.alice, "chatstate")]
    assert [False, True] == [r["available"] for r in records(chat.alice, "presence")]


def test_the_two_halves_keep_to_their_contract(chat: Chat) -> None:
    """Is what the other half expects, checked by types and by what is there."""
    handset: contract.Handset = chat.bob
    network: contract.Network = chat.router
    account: contract.Account = chat.bob.line.account
    assert (handset, network) == (account.phone, chat.bob.line.network)  # type: ignore[attr-defined]  # the world's


def test_what_cannot_be_done_is_said(chat: Chat) -> None:
    """Raises a sentence for strangers, unknown states and settings that the phone does not share."""
    stranger = JID("999", "lid")
    with pytest.raises(PhoneError, match="no such account"):
        chat.bob.send(stranger, content.text_message("x"))
    with pytest.raises(PhoneError, match="typing is one of"):
        chat.bob.typing(chat.alice.line.lid, "thinking")
    with pytest.raises(PhoneError, match="available or unavailable"):
        chat.bob.presence("away")
    with pytest.raises(PhoneError, match="shares no app state"):
        chat.alice.change([])
    chat.world.add_account("33612000009")
    with pytest.raises(PhoneError, match="no device"):
        chat.bob.send(JID("33612000009", "s.whatsapp.net"), content.text_message("x"))


def test_a_bad_stanza_is_a_record_and_no_more(chat: Chat) -> None:
    """Records what it does not understand and goes on."""
    chat.bob.receive(node("riddle"))
    chat.bob.receive(node("message", id="1", from_=chat.alice.line.lid))
    chat.bob.receive(node("message", node("enc", b"x"), id="1", from_=JID("999", "lid")))
    chat.say(chat.alice, chat.bob, "still here")
    assert 3 == len(records(chat.bob, "error"))
    assert ["still here"] == texts(chat.bob)


def test_notifications_calls_and_refusals_are_records(chat: Chat) -> None:
    """Records what the server tells it, and a message that the server refused; a plain acknowledgement is none."""
    for stanza in (
        node("notification", type="picture", id="1"),
        node("call", node("offer"), id="1", from_=chat.alice.line.lid),
        node("ack", class_="message", id="A", error=463),
        node("ack", class_="message", id="B"),
    ):
        chat.bob.receive(stanza)
    chat.run()
    assert ["picture"] == [r["type"] for r in records(chat.bob, "notification")]
    assert ["offer"] == [r["step"] for r in records(chat.bob, "call")]
    assert [("A", "463")] == [(r["id"], r["error"]) for r in records(chat.bob, "refused")]


def test_a_switched_off_phone_works_off_later(chat: Chat) -> None:
    """Does nothing while off, keeps what arrives in order, and forgets only beyond its bound."""
    chat.bob.switch(on=False)
    for text in ("one", "two"):
        chat.say(chat.alice, chat.bob, text)
    assert [] == texts(chat.bob)
    chat.bob.switch(on=True)
    chat.run()
    assert ["one", "two"] == texts(chat.bob)
    chat.bob.switch(on=False)
    for n in range(WAITING + 3):
        chat.bob.receive(node("notification", type=str(n)))
    assert (3, WAITING) == (chat.bob.forgotten, len(chat.bob._work))
    chat.bob.switch(on=True)
    chat.run()
    assert "3" == records(chat.bob, "notification")[0]["type"]


def test_gives_others_their_turn(chat: Chat) -> None:
    """Works off a bounded number of stanzas in one turn of the loop."""
    for n in range(TURN + 1):
        chat.bob.receive(node("notification", type=str(n)))
    _, _, work = chat._due.pop()
    work()
    assert TURN == len(records(chat.bob, "notification"))
    chat.run()
    assert TURN + 1 == len(records(chat.bob, "notification"))


def test_a_repeat_is_acknowledged_again_and_read_once(chat: Chat) -> None:
    """Sends the receipt again for the same stanza, and reads its text once."""
    chat.desk.write(chat.bob.line.lid, "hello", "3EB0AA")
    bob = chat.world.account(chat.bob.line.lid)
    assert bob is not None
    repeated = [t.stanza for t in chat.world.trace if t.event == "handed" and t.who == bob.lid][-1]
    assert repeated is not None
    chat.bob.receive(repeated)
    chat.run()
    assert (["hello"], 1) == (texts(chat.bob), len(records(chat.bob, "repeat")))
    assert 2 == len(chat.desk.of("receipt", **{"from": str(chat.bob.line.lid)}))


def test_the_same_id_in_a_new_ciphertext_is_a_repeat_too(chat: Chat) -> None:
    """Reads an id once, even when it comes encrypted anew."""
    for _ in range(2):
        chat.desk.write(chat.bob.line.lid, "hello", "3EB0AA")
    chat.run()
    assert (["hello"], 1) == (texts(chat.bob), len(records(chat.bob, "repeat")))


def hand(chat: Chat, stanza: Node, to: Phone) -> list[Node]:
    """Give a phone a message of the companion as if routed; returns the retry receipts that came back."""
    routed = stanza.with_attrs(from_=chat.desk.lid, t="1700000000")
    before = len(chat.desk.of("receipt", type="retry"))
    to.receive(routed)
    chat.run()
    return chat.desk.of("receipt", type="retry")[before:]


def direct(chat: Chat, text: str, message_id: str) -> Node:
    """A message of the companion for Bob that has not been sent."""
    enc = chat.desk._enc(chat.bob.line.lid, content.text_message(text))
    return node("message", enc, id=message_id, type="text")


def test_asks_for_what_it_cannot_read(chat: Chat) -> None:
    """Asks with keys the first time, without them in the same session, with them at the second request."""
    good, bad = direct(chat, "good", "G"), direct(chat, "bad", "B")
    assert [] == hand(chat, good, chat.bob)
    (first,) = hand(chat, spoiled(bad), chat.bob)
    retry = first.need("retry")
    assert ("B", "1", "1", chat.bob.line.lid) == (
        retry.get("id"),
        retry.get("count"),
        retry.get("v"),
        first.jid("from"),
    )
    assert 4 == len(first.need("registration").data)
    assert first.child("keys") is not None
    (other,) = hand(chat, spoiled(direct(chat, "other", "C")), chat.bob)
    assert other.child("keys") is None
    (second,) = hand(chat, spoiled(bad), chat.bob)
    assert ("2", True) == (second.need("retry").get("count"), second.child("keys") is not None)
    asked = [(r["id"], r["error"], r["asked"]) for r in records(chat.bob, "undecryptable")]
    assert [("B", "InvalidMessage", 1), ("C", "InvalidMessage", 1), ("B", "InvalidMessage", 2)] == asked


def test_gives_up_after_five_requests(chat: Chat) -> None:
    """Asks five times for one message and then records that it gave up."""
    bad = spoiled(direct(chat, "bad", "B"))
    asked = [len(hand(chat, bad, chat.bob)) for _ in range(7)]
    assert [1, 1, 1, 1, 1, 0, 0] == asked
    assert 0 == records(chat.bob, "undecryptable")[-1]["asked"]


def test_a_new_id_under_a_used_counter_is_asked_for(chat: Chat) -> None:
    """Tells a repeat from a second message under the same counter by its id."""
    good = direct(chat, "good", "G")
    hand(chat, good, chat.bob)
    assert [] == hand(chat, good, chat.bob)
    (retry,) = hand(chat, good.with_attrs(id="OTHER"), chat.bob)
    assert "OTHER" == retry.get("id")
    assert "RepeatedCounter" == records(chat.bob, "undecryptable")[0]["error"]


def test_a_request_with_keys_is_answered_in_a_new_session(chat: Chat) -> None:
    """Heals a message with the keys that came along; the device reads it, under a count and the same id."""
    message_id = chat.say(chat.bob, chat.alice, "hello")
    (origin,) = chat.desk.of("message")
    before = chat.bob.line.device.current_base(chat.desk.lid)
    chat.desk.ask(origin, 2, chat.desk.device.bundle(chat.random.randbytes))
    chat.run()
    answer = chat.desk.of("message")[-1]
    assert (message_id, "2") == (answer.get("id"), answer.need("enc").get("count"))
    assert "hello" == chat.desk.read(answer).conversation
    assert before != chat.bob.line.device.current_base(chat.desk.lid)
    (record,) = records(chat.bob, "retry")
    assert (message_id, 2, True, 1) == (record["id"], record["attempt"], record["resent"], record["device"])
    assert 1 == len(records(chat.alice, "message"))


def test_a_request_without_keys_takes_a_bundle(chat: Chat) -> None:
    """Fetches a bundle for a first request, which carries no keys."""
    chat.say(chat.bob, chat.alice, "hello")
    (origin,) = chat.desk.of("message")
    left = len(chat.desk.linked.prekeys)
    chat.desk.ask(origin, 1)
    chat.run()
    assert left - 1 == len(chat.desk.linked.prekeys)
    assert "hello" == chat.desk.read(chat.desk.of("message")[-1]).conversation


def test_a_second_request_uses_the_session_that_is_new_already(chat: Chat) -> None:
    """Opens one session for a batch of unreadable messages, not one for each."""
    for text in ("one", "two", "three"):
        chat.say(chat.bob, chat.alice, text)
    origins = chat.desk.of("message")
    for origin in origins:
        chat.desk.ask(origin, 1)
        chat.run()
    answers = chat.desk.of("message")[3:]
    assert ["one", "two", "three"] == [chat.desk.read(answer).conversation for answer in answers]
    assert 2 == len(chat.bob.line.device.sessions[chat.desk.lid].ratchets)


def test_a_copy_is_answered_as_a_copy(chat: Chat) -> None:
    """Sends an own message again to a companion with its chat."""
    chat.say(chat.alice, chat.bob, "typed")
    (origin,) = chat.desk.of("message")
    chat.desk.ask(origin, 1)
    chat.run()
    answer = chat.desk.of("message")[-1]
    copy = content.sent_copy(chat.desk.read(answer))
    assert copy is not None
    assert (str(chat.bob.line.lid), "typed") == (copy[0], copy[1].conversation)
    assert chat.bob.line.lid == answer.jid("recipient")


def test_requests_that_cannot_be_answered_are_recorded(chat: Chat) -> None:
    """Sends nothing for an unknown id, to a stranger's device, or to a device without keys."""
    unknown = node("message", id="NEVER", from_=chat.bob.line.lid, t="1")
    chat.desk.ask(unknown, 1)
    chat.run()
    chat.say(chat.bob, chat.alice, "hello")
    origin = chat.desk.of("message")[-1]
    del chat.desk.linked.account.devices[1]
    receipt = node("receipt", node("retry", count=1, id=origin.get("id")), node("registration", b"\0\0\0\1"))
    chat.bob.receive(receipt.with_attrs(type="retry", id=origin.get("id"), from_=chat.desk.lid))
    chat.run()
    assert [False, False] == [r["resent"] for r in records(chat.bob, "retry")]


def test_two_phones_heal_each_other(chat: Chat) -> None:
    """Recovers between two phones with one retry, and nobody reads twice."""
    chat.say(chat.alice, chat.bob, "first")
    chat.router.faults.add("corrupt", count=1)
    bob = chat.world.account(chat.bob.line.lid)
    assert bob is not None
    message_id = chat.alice.send(chat.bob.line.lid, content.text_message("second"))
    last = chat.bob._work.pop()
    handed = [t.stanza for t in chat.world.trace if t.event == "handed" and t.who == bob.lid]
    assert last is not None
    assert handed[-1] is not None
    chat.bob.receive(spoiled(handed[-1]))
    chat.run()
    assert ["first", "second"] == texts(chat.bob)
    healed = records(chat.bob, "message")[-1]
    assert (message_id, 1) == (healed["id"], healed["asked"])


def test_a_companion_that_left_gets_nothing_more(chat: Chat) -> None:
    """Removes a companion: it hears of it, the phone records it, and no more copies are made."""
    second: Companion = chat.companion(chat.alice, 2)
    chat.alice.unlink(2)
    assert second.ended
    assert [2] == [r["device"] for r in records(chat.alice, "companion_gone")]
    second.got.clear()
    chat.say(chat.alice, chat.bob, "hello")
    assert [] == second.of("message")


def test_a_peer_message_is_answered_as_one(chat: Chat) -> None:
    """Sends a key share again as a peer message, so that no user sees it."""
    chat.alice.habits.app_state = True
    desk = chat.companion(chat.alice, 2)
    chat.run()
    (share,) = desk.of("message")
    desk.ask(share, 1)
    chat.run()
    again = desk.of("message")[-1]
    assert ("peer", share.get("id")) == (again.get("category"), again.get("id"))
    assert desk.read(again).protocolMessage.appStateSyncKeyShare.keys
