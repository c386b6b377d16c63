"""Presence, chat states and calls."""

import pytest

from tests.sandbox.node import JID, Node, node
from tests.unit.sandbox_net import NOW
from tests.unit.test_sandbox_messages import BOB, OWN, Scene


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def subscribe(scene: Scene, who: JID, to: JID) -> None:
    """Let a device ask for somebody's presence."""
    scene.submit(who, node("presence", type="subscribe", to=to))


def come(scene: Scene, who: JID, kind: str = "available", name: str = "") -> None:
    """Let a device come or go."""
    scene.submit(who, node("presence", type=kind, name=name))


def told(scene: Scene) -> list[str]:
    """What Bob's device heard of presence since the last time."""
    heard = [str(stanza) for stanza in scene.bobs_line.sent if stanza.tag == "presence"]
    scene.bobs_line.sent.clear()
    return heard


def test_subscriber_learns_the_state_at_once(scene: Scene) -> None:
    """Who was never there denies the time; who is there is simply there."""
    subscribe(scene, scene.bobs.lid, OWN)
    assert ["<presence from=100@lid type=unavailable last=deny/>"] == told(scene)
    come(scene, scene.first.lid)
    subscribe(scene, scene.bobs.lid, scene.owner.pn)
    assert ["<presence from=100@lid/>"] * 2 == told(scene)


def test_changes_are_told(scene: Scene) -> None:
    """Coming and going of the account is told to whoever subscribed, with the time of the last going."""
    subscribe(scene, scene.bobs.lid, OWN)
    told(scene)
    come(scene, scene.first.lid)
    come(scene, scene.first.lid, "unavailable")
    gone = f"<presence from=100@lid type=unavailable last={NOW}/>"
    assert ["<presence from=100@lid/>", gone] == told(scene)


def test_one_device_of_many(scene: Scene) -> None:
    """While another device or the phone is there, the account is there: no change is told."""
    subscribe(scene, scene.bobs.lid, OWN)
    come(scene, scene.first.lid)
    told(scene)
    for device in (scene.second.lid, OWN):
        come(scene, device)
    for device in (scene.first.lid, OWN):
        come(scene, device, "unavailable")
    assert [] == told(scene)
    come(scene, scene.second.lid, "unavailable")
    assert 1 == len(told(scene))


def test_repetition_is_not_told(scene: Scene) -> None:
    """Saying the same twice tells the others once."""
    subscribe(scene, scene.bobs.lid, OWN)
    told(scene)
    for _ in range(3):
        come(scene, scene.first.lid)
    assert 1 == len(told(scene))


def test_lost_connection_is_a_going(scene: Scene) -> None:
    """A device whose session ends is not there any more."""
    subscribe(scene, scene.bobs.lid, OWN)
    come(scene, scene.first.lid)
    told(scene)
    scene.net.companions.departed(scene.first)
    assert [f"<presence from=100@lid type=unavailable last={NOW}/>"] == told(scene)


def test_presence_carries_the_push_name(scene: Scene) -> None:
    """The name in a presence becomes the account's, an empty one changes nothing."""
    come(scene, scene.first.lid, name="Renamed")
    come(scene, scene.first.lid)
    assert "Renamed" == scene.owner.push_name


def test_presence_is_not_kept(scene: Scene) -> None:
    """A device that is away misses presence and chat states, and nothing waits."""
    subscribe(scene, scene.bobs.lid, OWN)
    scene.net.companions.departed(scene.bobs)
    come(scene, scene.first.lid)
    scene.submit(scene.first.lid, node("chatstate", node("composing"), to=BOB))
    assert 0 == len(scene.bobs.outbox)


def test_unknown_subject(scene: Scene) -> None:
    """Subscribing to nobody, or typing to nobody, is silent."""
    subscribe(scene, scene.bobs.lid, JID("9", "lid"))
    scene.submit(scene.bobs.lid, node("chatstate", node("paused"), to=JID("9", "lid")))
    assert [] == scene.bobs_line.sent


def test_phone_subscribes(scene: Scene) -> None:
    """A phone learns of presence by being handed the stanza."""
    subscribe(scene, BOB, OWN)
    come(scene, scene.first.lid)
    assert [
        "<presence from=100@lid type=unavailable last=deny/>",
        "<presence from=100@lid/>",
    ] == scene.bobs_phone.take()


@pytest.mark.parametrize("state", [node("composing"), node("composing", media="audio"), node("paused")])
def test_typing_reaches_all_devices(scene: Scene, state: Node) -> None:
    """What is typed on one device the other side's phone and devices see, from the bare LID."""
    scene.submit(scene.first.lid, node("chatstate", state, to=BOB))
    expected = [f"<chatstate from=100@lid>{state}</chatstate>"]
    assert expected == scene.bobs_phone.take() == scene.bobs_line.take()


def test_call_is_acknowledged_and_passed_on(scene: Scene) -> None:
    """Call signalling reaches all devices of the other side and waits there for its acknowledgement."""
    offer = node("offer", **{"call-id": "C1"})
    scene.submit(scene.first.lid, node("call", offer, to=BOB, id="K1"))
    assert ["<ack class=call id=K1 from=200@lid type=offer/>"] == scene.first_line.take()
    rung = f"<call id=K1 t={NOW} from=100@lid><offer call-id=C1/></call>"
    assert [rung] == scene.bobs_phone.take() == scene.bobs_line.take()
    assert 1 == len(scene.bobs.outbox)
    scene.submit(scene.bobs.lid, node("ack", class_="call", id="K1", to=OWN, type="offer"))
    assert 0 == len(scene.bobs.outbox)


def test_call_to_nobody(scene: Scene) -> None:
    """A call to nobody is acknowledged and rings nowhere."""
    scene.submit(scene.first.lid, node("call", node("terminate"), to=JID("9", "lid"), id="K1"))
    assert ["<ack class=call id=K1 from=9@lid type=terminate/>"] == scene.first_line.take()
