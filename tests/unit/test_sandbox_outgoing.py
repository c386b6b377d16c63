"""The stanzas that phones write: whom they list, how they are labelled, and what is left out."""

from typing import Any

import pytest

from tests.sandbox.node import JID, Node
from tests.sandbox.phones import content
from tests.sandbox.phones.phone import Phone
from tests.sandbox.phones.reception import Habits
from tests.unit.sandbox_box import Box, records


class Writing(Box):
    """Alice with two companions and Bob with one; what phones submit is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.alice = self.phone("33612000001", "Alice", Habits(app_state=False))
        self.bob = self.phone("33612000002", "Bob", Habits(app_state=False))
        self.desk, self.second = self.companion(self.alice), self.companion(self.alice, 2)
        self.tablet = self.companion(self.bob)
        self.submitted: list[Node] = []
        submit = self.router.submit

        def keep(sender: JID, stanza: Node) -> None:
            self.submitted.append(stanza)
            submit(sender, stanza)

        self.router.submit = keep  # type: ignore[method-assign]  # watched, not replaced

    def written(self, sender: Phone, to: Phone, message: dict[str, Any]) -> Node:
        """The stanza that a message becomes."""
        sender.send(to.line.lid, content.from_json(message), "3A01")
        return next(stanza for stanza in self.submitted if stanza.tag == "message")


@pytest.fixture
def box() -> Writing:
    """Alice, Bob and their companions."""
    return Writing()


TEXT = {"conversation": "hello"}


def listed(stanza: Node) -> list[JID]:
    """The devices that a stanza is sealed for."""
    return [entry.jid("jid") for entry in stanza.need("participants").children]


def encs(stanza: Node) -> list[Node]:
    """The ciphertexts of a stanza."""
    return [entry.need("enc") for entry in stanza.need("participants").children]


def test_a_message_lists_every_device_but_its_own(box: Writing) -> None:
    """Seals for the chat's phone and companions and for the own companions."""
    stanza = box.written(box.alice, box.bob, TEXT)
    alice, bob = box.alice.line.lid, box.bob.line.lid
    assert [bob, bob.of_device(1), alice.of_device(1), alice.of_device(2)] == listed(stanza)
    assert ("3A01", "text", "", bob) == (
        stanza.get("id"),
        stanza.get("type"),
        stanza.get("edit"),
        stanza.jid("to"),
    )
    assert {"2"} == {enc.get("v") for enc in encs(stanza)}


def test_a_note_to_oneself_goes_to_the_companions_alone(box: Writing) -> None:
    """Sends copies and nothing to the own phone."""
    stanza = box.written(box.alice, box.alice, TEXT)
    alice = box.alice.line.lid
    assert [alice.of_device(1), alice.of_device(2)] == listed(stanza)
    copy = content.sent_copy(box.desk.read(box.desk.of("message")[-1]))
    assert copy is not None
    assert (str(alice), "hello") == (copy[0], copy[1].conversation)


@pytest.mark.parametrize(
    ("message", "attrs", "enc_attrs"),
    [
        ({"imageMessage": {"caption": "c"}}, ("media", ""), ("image", "")),
        ({"audioMessage": {"PTT": True}}, ("media", ""), ("ptt", "")),
        ({"pollCreationMessageV3": {"name": "?"}}, ("poll", ""), ("", "")),
        ({"reactionMessage": {"text": "+"}}, ("reaction", ""), ("", "hide")),
        ({"reactionMessage": {"text": ""}}, ("reaction", "7"), ("", "hide")),
        (
            {"protocolMessage": {"type": "MESSAGE_EDIT", "editedMessage": TEXT, "key": {"ID": "3A00"}}},
            ("text", "1"),
            ("", "hide"),
        ),
        ({"protocolMessage": {"type": "REVOKE", "key": {"ID": "3A00", "fromMe": True}}}, ("text", "7"), ("", "")),
    ],
    ids=["image", "voice", "poll", "reaction", "no reaction", "edit", "revoke"],
)
def test_labels_stand_on_stanza_and_ciphertexts(
    box: Writing, message: dict[str, Any], attrs: tuple[str, str], enc_attrs: tuple[str, str]
) -> None:
    """Labels the stanza, and every ciphertext alike, copies included."""
    stanza = box.written(box.alice, box.bob, message)
    assert attrs == (stanza.get("type"), stanza.get("edit"))
    assert {enc_attrs} == {(enc.get("mediatype"), enc.get("decrypt-fail")) for enc in encs(stanza)}


def test_a_device_without_keys_is_left_out(box: Writing) -> None:
    """Writes to the others, and takes a bundle without one-time key where there is none left."""
    box.tablet.linked.prekeys.records = b""
    keyless = box.world.account(box.bob.line.lid)
    assert keyless is not None
    keyless.phone = None
    stanza = box.written(box.alice, box.bob, TEXT)
    alice, bob = box.alice.line.lid, box.bob.line.lid
    assert [bob.of_device(1), alice.of_device(1), alice.of_device(2)] == listed(stanza)
    assert "hello" == box.tablet.read(box.tablet.of("message")[-1]).conversation


def test_a_bundle_that_nobody_signed_stops_the_message(box: Writing) -> None:
    """Raises instead of encrypting for keys that somebody put there."""
    linked = box.tablet.linked
    linked.signed = linked.signed._replace(signature=bytes(64))
    with pytest.raises(Exception, match="not signed"):
        box.alice.send(box.bob.line.lid, content.text_message("hello"))


def test_a_session_is_opened_once(box: Writing) -> None:
    """Takes one key of each device for a whole conversation."""
    before = len(box.tablet.linked.prekeys)
    for _ in range(5):
        box.alice.send(box.bob.line.lid, content.text_message("hello"))
    assert before - 1 == len(box.tablet.linked.prekeys)


def test_ids_are_those_of_phones_and_differ(box: Writing) -> None:
    """Makes ids of 3A and eighteen hexadecimal digits."""
    ids = {box.alice.outgoing.new_id() for _ in range(100)}
    assert 100 == len(ids)
    assert all(len(each) == 20 and each.startswith("3A") and int(each, 16) >= 0 for each in ids)


def test_a_removed_companion_cannot_ask_again(box: Writing) -> None:
    """Answers no request of a device that never got the message, whatever its keys."""
    box.alice.send(box.bob.line.lid, content.text_message("hello"), "3A01")
    stranger = box.bob.line.lid.of_device(9)
    assert not box.alice.outgoing.again(stranger, "3A01", 1, box.tablet.device.bundle(box.random.randbytes))


def test_requests_end_after_ten_answers(box: Writing) -> None:
    """Sends one message to one device at most ten times more."""
    box.alice.send(box.bob.line.lid, content.text_message("hello"), "3A01")
    to = box.bob.line.lid.of_device(1)
    answers = [box.alice.outgoing.again(to, "3A01", n, None) for n in range(1, 13)]
    assert [True] * 10 + [False] * 2 == answers


def test_an_answer_keeps_its_label(box: Writing) -> None:
    """Marks an edit as an edit when it is sent again."""
    edit = {"protocolMessage": {"type": "MESSAGE_EDIT", "editedMessage": TEXT, "key": {"ID": "3A00"}}}
    box.written(box.alice, box.bob, edit)
    box.alice.outgoing.again(box.bob.line.lid.of_device(1), "3A01", 1, None)
    answer = box.submitted[-1]
    assert ("1", "false", "hide") == (
        answer.get("edit"),
        answer.get("device_fanout"),
        answer.need("enc").get("decrypt-fail"),
    )


def test_the_server_refuses_and_the_phone_records_it(box: Writing) -> None:
    """Learns by the acknowledgement that a message was refused."""
    box.router.faults.add("refuse_message", box.alice.line.lid, count=1, value=463)
    box.alice.send(box.bob.line.lid, content.text_message("hello"), "3A01")
    box.run()
    assert [("3A01", "463")] == [(r["id"], r["error"]) for r in records(box.alice, "refused")]
    assert [] == records(box.bob, "message")
