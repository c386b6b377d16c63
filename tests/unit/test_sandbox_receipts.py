"""Receipts and acknowledgements: what they strike out and whom they concern."""

import pytest

from tests.sandbox.node import JID, Node, node
from tests.unit.sandbox_net import NOW, Line
from tests.unit.test_sandbox_messages import BOB, OWN, Scene, message, to


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def receipt(jid: JID, *content: Node, kind: str = "", **attrs: str | JID) -> Node:
    """A receipt as a client writes it."""
    return node("receipt", *content, to=jid, id="M1", type=kind, **attrs)


def receipts(line: Line) -> list[str]:
    """The receipts that a session was sent."""
    return [str(stanza) for stanza in line.sent if stanza.tag == "receipt"]


def waiting(scene: Scene) -> list[str]:
    """What Bob's device has not acknowledged."""
    return [f"{entry.stanza.tag} {entry.stanza.get('id')}" for entry in scene.bobs.outbox]


def send(scene: Scene, identifier: str = "M1") -> None:
    """Let the owner's first device write to Bob's device."""
    scene.submit(scene.first.lid, message(to(BOB.of_device(3))).with_attrs(id=identifier))


def test_receipt_acknowledges_the_message(scene: Scene) -> None:
    """A message waits in the outbox until its receipt comes."""
    send(scene)
    assert ["message M1"] == waiting(scene)
    scene.submit(scene.bobs.lid, receipt(OWN.of_device(1)))
    assert [] == waiting(scene)
    assert (1, 1, 1) == tuple(scene.bobs.counts[event] for event in ("queued", "sent", "acknowledged"))


def test_receipt_is_acknowledged(scene: Scene) -> None:
    """Whoever writes a receipt gets its acknowledgement, with what the receipt had."""
    group = JID("1", "g.us")
    stanza = receipt(OWN.of_device(1), kind="read", participant=OWN).with_attrs(to=OWN)
    scene.submit(scene.bobs.lid, stanza)
    ack = f"<ack class=receipt id=M1 type=read t={NOW} from=100@lid participant=100@lid/>"
    assert ack in [str(sent) for sent in scene.bobs_line.sent]
    scene.submit(scene.bobs.lid, receipt(group))
    assert f"<ack class=receipt id=M1 t={NOW} from=1@g.us/>" in [str(sent) for sent in scene.bobs_line.sent]


@pytest.mark.parametrize("kind", ["", "inactive"])
def test_delivery_reaches_all_devices_of_the_author(scene: Scene, kind: str) -> None:
    """The author's phone and every linked device learn of it, from the reader's bare LID."""
    scene.submit(scene.bobs.lid, receipt(OWN.of_device(1), kind=kind))
    told = f"<receipt id=M1{' type=' + kind if kind else ''} t={NOW} from=200@lid/>"
    assert [told] == receipts(scene.first_line) == receipts(scene.second_line) == scene.phone.take()


def test_reading_reaches_the_readers_other_devices(scene: Scene) -> None:
    """What is read on one device, the reader's phone learns too, with the chat."""
    scene.submit(scene.bobs.lid, receipt(OWN, kind="read"))
    own = f"<receipt id=M1 type=read t={NOW} from=200@lid recipient=100@lid/>"
    assert own in scene.bobs_phone.take()
    assert [] == receipts(scene.bobs_line)
    assert [f"<receipt id=M1 type=read t={NOW} from=200@lid/>"] == receipts(scene.first_line)


def test_private_reading_stays_private(scene: Scene) -> None:
    """A read-self receipt reaches the reader's other devices alone."""
    scene.submit(scene.bobs.lid, receipt(OWN, kind="read-self"))
    assert [] == receipts(scene.first_line)
    assert f"<receipt id=M1 type=read-self t={NOW} from=200@lid recipient=100@lid/>" in scene.bobs_phone.take()


def test_list_of_messages(scene: Scene) -> None:
    """A receipt for several messages acknowledges each, and travels with its list."""
    for identifier in ("M1", "M2", "M3"):
        send(scene, identifier)
    items = node("list", node("item", id="M2"), node("item", id="M3"))
    scene.submit(scene.bobs.lid, receipt(OWN.of_device(1), items, kind="read"))
    assert [] == waiting(scene)
    assert "<list><item id=M2/><item id=M3/></list>" in receipts(scene.first_line)[0]


def test_retry_reaches_exactly_the_author(scene: Scene) -> None:
    """Who cannot read a message asks the very device that sealed it, with its own device number and keys."""
    send(scene)
    asked = node("retry", count=1, id="M1", t=NOW, v=1), node("registration", b"\x00\x00\x00\x4d")
    scene.submit(scene.bobs.lid, receipt(OWN.of_device(1), *asked, kind="retry"))
    told = f"<receipt id=M1 type=retry t={NOW} from=200:3@lid><retry count=1 id=M1 t={NOW} v=1/>"
    assert [told + "<registration>[4]</></receipt>"] == receipts(scene.first_line)
    assert [] == receipts(scene.second_line) + scene.phone.take()
    assert [] == waiting(scene)


@pytest.mark.parametrize("kind", ["sender", "peer_msg", "hist_sync"])
def test_own_receipts_reach_the_writing_device(scene: Scene, kind: str) -> None:
    """A receipt for a message of the own account goes to the device named in it, which learns the chat."""
    scene.submit(OWN, receipt(OWN.of_device(1), kind=kind, recipient=BOB))
    assert [f"<receipt id=M1 type={kind} t={NOW} from=100@lid recipient=200@lid/>"] == receipts(scene.first_line)
    assert [] == receipts(scene.second_line) + receipts(scene.bobs_line)


def test_own_receipt_that_names_the_chat_first(scene: Scene) -> None:
    """The client puts the chat into `to` and the writing device into `recipient`; that device is told all the same."""
    scene.submit(scene.second.lid, receipt(BOB, kind="sender", recipient=OWN.of_device(1)))
    assert [f"<receipt id=M1 type=sender t={NOW} from=100:2@lid recipient=200@lid/>"] == receipts(scene.first_line)
    assert [] == receipts(scene.bobs_line)


def test_receipt_to_the_own_number(scene: Scene) -> None:
    """History and key shares are acknowledged to the own number: the phone learns of it."""
    scene.submit(scene.first.lid, receipt(scene.owner.pn, kind="peer_msg"))
    assert [f"<receipt id=M1 type=peer_msg t={NOW} from=100:1@lid/>"] == scene.phone.take()


def test_receipt_to_nobody(scene: Scene) -> None:
    """A receipt for an account that has gone is acknowledged and recorded."""
    scene.submit(scene.bobs.lid, receipt(JID("9", "lid")))
    assert 1 == scene.net.world.counts["undeliverable"]
    assert "ack" == scene.bobs_line.sent[-1].tag


def test_receipts_wait_for_their_acknowledgement(scene: Scene) -> None:
    """A receipt waits until the device acknowledges it, by its type."""
    scene.submit(scene.bobs.lid, receipt(OWN, kind="read"))
    scene.submit(scene.bobs.lid, receipt(OWN))
    assert 2 == len(scene.first.outbox)
    ack = node("ack", class_="receipt", id="M1", to=BOB)
    scene.submit(scene.first.lid, ack.with_attrs(type="read"))
    assert [""] == [entry.stanza.get("type") for entry in scene.first.outbox]
    scene.submit(scene.first.lid, ack)
    assert 0 == len(scene.first.outbox)


@pytest.mark.parametrize("error", [None, "487"])
def test_acknowledged_message_is_not_sent_again(scene: Scene, error: str | None) -> None:
    """A message ends waiting by a plain ack as well, also by one that refuses it."""
    send(scene)
    scene.submit(scene.bobs.lid, node("ack", class_="message", id="M1", to=OWN.of_device(1), error=error))
    assert [] == waiting(scene)


def test_phone_acknowledges_nothing(scene: Scene) -> None:
    """A phone's acknowledgements and receipts strike nothing out: it has no outbox."""
    send(scene)
    scene.submit(BOB, node("ack", class_="message", id="M1", to=OWN.of_device(1)))
    scene.submit(BOB, receipt(OWN.of_device(1)))
    assert ["message M1"] == waiting(scene)


def test_repeated_acknowledgement(scene: Scene) -> None:
    """A second receipt for a message changes nothing here and is passed on like the first."""
    send(scene)
    for _ in range(2):
        scene.submit(scene.bobs.lid, receipt(OWN.of_device(1)))
    assert 1 == scene.bobs.counts["acknowledged"]
    assert 2 == len(receipts(scene.first_line))
