"""Delivery: outbox, session, faults on the way, and catching up after an absence."""

import pytest

from tests.sandbox.node import JID, Node, node
from tests.sandbox.world import Device
from tests.unit.sandbox_net import NOW, Line
from tests.unit.test_sandbox_messages import BOB, OWN, Scene


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def message(identifier: str) -> Node:
    """A message as it is delivered."""
    return node("message", node("enc", bytes(20), type="msg"), id=identifier, from_=OWN, type="text")


def ids(line: Line, tag: str = "message") -> list[str]:
    """The ids of the stanzas of a tag that a session was sent."""
    return [stanza.get("id") for stanza in line.sent if stanza.tag == tag]


def deliver(scene: Scene, *identifiers: str) -> None:
    """Deliver messages to Bob's device."""
    for identifier in identifiers:
        scene.net.router.deliver(scene.bobs.lid, message(identifier))


def waiting(device: Device) -> list[str]:
    """The ids of what a device has not acknowledged."""
    return [entry.stanza.get("id") for entry in device.outbox]


def reconnect(scene: Scene) -> Line:
    """Let Bob's device come back on a new session."""
    line = Line()
    scene.net.companions.attach(scene.bobs, line)
    scene.net.companions.activated(scene.bobs)
    return line


@pytest.mark.parametrize("tag", ["message", "receipt", "notification", "call"])
def test_kept_until_acknowledged(scene: Scene, tag: str) -> None:
    """Messages, receipts, notifications and calls are written at once and wait all the same."""
    scene.net.router.deliver(scene.bobs.lid, Node(tag, {"id": "1", "from": OWN}))
    assert ["1"] == ids(scene.bobs_line, tag)
    assert ["1"] == waiting(scene.bobs)


@pytest.mark.parametrize("tag", ["presence", "chatstate", "ib", "iq"])
def test_not_kept(scene: Scene, tag: str) -> None:
    """Everything else is written to who is there and otherwise lost."""
    scene.net.router.deliver(scene.bobs.lid, Node(tag))
    assert [f"<{tag}/>"] == scene.bobs_line.take()
    scene.net.companions.departed(scene.bobs)
    scene.net.router.deliver(scene.bobs.lid, Node(tag))
    assert [] == waiting(scene.bobs)


def test_nothing_before_active(scene: Scene) -> None:
    """A device that has logged in and not asked for its stanzas gets none."""
    scene.bobs.active = False
    deliver(scene, "1")
    assert [] == scene.bobs_line.sent
    assert ["1"] == waiting(scene.bobs)


def numbered(stanza: Node) -> str:
    """A stanza's id and its number in the offline queue."""
    return f"id={stanza.get('id')} offline={stanza.get('offline')}"


def test_catching_up(scene: Scene) -> None:
    """What waited is announced, numbered, sent in order, and counted at the end."""
    scene.net.companions.departed(scene.bobs)
    deliver(scene, "1", "2")
    scene.net.router.deliver(scene.bobs.lid, Node("receipt", {"id": "3", "from": OWN}))
    line = reconnect(scene)
    said = [str(stanza) for stanza in line.sent]
    preview = "<offline_preview count=3 appdata=0 message=2 receipt=1 notification=0/>"
    assert f"<ib from=s.whatsapp.net>{preview}</ib>" == said[0]
    assert ["id=1 offline=0", "id=2 offline=1", "id=3 offline=2"] == [numbered(stanza) for stanza in line.sent[1:4]]
    assert "<ib from=s.whatsapp.net><offline count=3/></ib>" == said[4]


def test_nothing_waited(scene: Scene) -> None:
    """Without anything waiting there is no announcement, only the count."""
    assert ["<ib from=s.whatsapp.net><offline count=0/></ib>"] == reconnect(scene).take()


def test_redelivered_until_acknowledged(scene: Scene) -> None:
    """At every login the same stanza comes again, until it is acknowledged."""
    deliver(scene, "1")
    for again in (1, 2):
        assert ["1"] == ids(reconnect(scene))
        assert again == scene.bobs.counts["redelivered"]
    scene.submit(scene.bobs.lid, node("receipt", to=OWN, id="1"))
    assert [] == ids(reconnect(scene))


def test_waiting_is_not_changed_by_numbering(scene: Scene) -> None:
    """The number in the offline queue belongs to one delivery, not to the stanza."""
    scene.net.companions.departed(scene.bobs)
    deliver(scene, "1")
    reconnect(scene)
    assert ["offline" in entry.stanza.attrs for entry in scene.bobs.outbox] == [False]


def test_swallowed_comes_later(scene: Scene) -> None:
    """A swallowed message is not written and comes with the next login, as if for the first time."""
    scene.net.faults.add("swallow", scene.bobs.lid, count=1)
    deliver(scene, "1", "2")
    assert ["2"] == ids(scene.bobs_line)
    assert ["1", "2"] == waiting(scene.bobs)
    assert ["1", "2"] == ids(reconnect(scene))
    assert (1, 1) == (scene.bobs.counts["swallowed"], scene.bobs.counts["redelivered"])


def test_duplicated_is_written_twice(scene: Scene) -> None:
    """A duplicated message is written twice and waits once."""
    scene.net.faults.add("duplicate", scene.bob.lid, count=1)
    deliver(scene, "1", "2")
    assert ["1", "1", "2"] == ids(scene.bobs_line)
    assert ["1", "2"] == waiting(scene.bobs)


def test_delayed_by_the_session(scene: Scene) -> None:
    """A delay is handed to the session, which keeps the order."""
    scene.net.faults.add("delay", scene.bobs.lid, value=200)
    deliver(scene, "1")
    assert [0.2] == scene.bobs_line.delays


def test_corrupted_on_the_wire_only(scene: Scene) -> None:
    """What waits stays whole: the next delivery is good."""
    scene.net.faults.add("corrupt", scene.bobs.lid, count=1)
    deliver(scene, "1")
    assert bytes(20) != scene.bobs_line.sent[0].need("enc").data
    assert bytes(20) == reconnect(scene).sent[1].need("enc").data


def test_phones_have_no_faults(scene: Scene) -> None:
    """Knobs strike linked devices; phones are reached as ever."""
    scene.net.faults.add("swallow")
    scene.net.router.deliver(BOB, message("1"))
    assert 1 == len(scene.bobs_phone.got)


def test_low_keys_are_asked_for_once(scene: Scene) -> None:
    """When a bundle leaves exactly four one-time keys, the device is told, and not again at three."""
    for _ in range(8):
        scene.net.router.bundle(scene.bobs.lid)
    told = [stanza for stanza in scene.bobs_line.sent if stanza.get("type") == "encrypt"]
    assert ["<count value=4/>"] == [str(stanza.need("count")) for stanza in told]


def test_notifications_have_fresh_ids(scene: Scene) -> None:
    """Server notifications say kind, origin and time, and never share an id."""
    make = scene.net.router.delivery.notification
    one, other = make("devices", OWN), make("devices", OWN)
    assert ("devices", OWN, NOW) == (one.get("type"), one.jid("from"), one.number("t"))
    assert one.get("id") != other.get("id")


def test_everyone_but_one(scene: Scene) -> None:
    """An account's devices are the phone and the linked ones; one of them can be left out."""
    scene.net.router.delivery.to_account(scene.owner, message("1"), but=1)
    assert ([], ["1"], 1) == (ids(scene.first_line), ids(scene.second_line), len(scene.phone.got))


def test_delivery_to_nobody(scene: Scene) -> None:
    """Unknown accounts and devices are recorded."""
    for jid in (JID("9", "lid"), BOB.of_device(9)):
        scene.net.router.deliver(jid, message("1"))
    assert 2 == scene.net.world.counts["undeliverable"]
