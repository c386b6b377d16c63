"""The life of linked devices: added, logged in, replaced, struck, removed."""

import base64
import hashlib

import pytest

from tests.sandbox.companions import device_hash
from tests.sandbox.node import JID
from tests.sandbox.world import Device
from tests.unit.sandbox_net import NOW, Line
from tests.unit.test_sandbox_messages import BOB, OWN, Scene


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def fresh(scene: Scene, number: int = 5) -> Device:
    """A device of the owner that is not added yet."""
    device, _ = scene.net.device(scene.owner, number, online=False)
    del scene.owner.devices[number]
    return device


def notifications(line: Line, kind: str) -> list[str]:
    """The content of the notifications of a kind that a session was sent."""
    return [str(s.children[0]) for s in line.sent if s.tag == "notification" and s.get("type") == kind]


def test_device_hash() -> None:
    """The hash is made of the sorted addresses in their hashed form."""
    jids = [JID("9", "lid", 2), JID("9", "lid"), JID("33", "s.whatsapp.net")]
    joined = b"33.0:0@s.whatsapp.net9.0:0@lid9.0:2@lid"
    expected = base64.b64encode(hashlib.sha256(joined).digest()[:6]).decode()
    assert f"2:{expected}" == device_hash(jids)
    assert 10 == len(device_hash(jids))


def test_added(scene: Scene) -> None:
    """A new device has its place, the phone knows it, and the next one gets another number."""
    device = fresh(scene)
    scene.net.companions.add(device)
    assert device is scene.owner.devices[5]
    assert ("linked", 5) in scene.phone.told
    assert 6 == scene.net.router.next_device(scene.owner)


def test_added_is_announced(scene: Scene) -> None:
    """Who asked for the device list and the own other devices learn of a new one."""
    scene.owner.device_watchers |= {scene.bobs.lid, scene.first.lid}
    scene.net.companions.add(fresh(scene))
    jids = [OWN.of_device(number) for number in (0, 1, 2, 5)]
    expected = f"<add device_hash={device_hash(jids)}><device jid=100:5@lid key-index=15/></add>"
    assert [expected] == notifications(scene.bobs_line, "devices")
    assert [] == notifications(scene.first_line, "devices")
    listed = "".join(f"<device jid={jid}/>" for jid in jids)
    synced = [f"<devices dhash={device_hash(jids)}>{listed}</devices>"]
    assert synced == notifications(scene.first_line, "account_sync") == notifications(scene.second_line, "account_sync")


def test_removed(scene: Scene) -> None:
    """A removed device is told so, ends, is forgotten with all that waited, and others learn of it."""
    scene.owner.device_watchers.add(scene.bobs.lid)
    scene.net.router.unlink(scene.owner, 1)
    farewell = "<stream:error code=401><conflict type=device_removed/></stream:error>"
    assert [(farewell, None)] == [(str(stanza), linger) for stanza, linger in scene.first_line.ends]
    assert [0, 2] == scene.net.router.devices(OWN)
    assert ("gone", 1, "removed by the phone") in scene.phone.told
    assert "<remove device_hash=" in notifications(scene.bobs_line, "devices")[0]
    assert 0 == len(scene.first.outbox)


def test_removed_while_away(scene: Scene) -> None:
    """A device without a session is removed all the same; its number is not given again."""
    scene.net.companions.departed(scene.second)
    scene.net.companions.remove(scene.owner, 2, "unlinked")
    assert [] == scene.second_line.ends
    assert 3 == scene.net.router.next_device(scene.owner)


def test_removing_nobody(scene: Scene) -> None:
    """Removing an unknown device does nothing."""
    scene.net.companions.remove(scene.owner, 9, "unlinked")
    assert [] == scene.phone.told


def test_second_login_replaces_the_first(scene: Scene) -> None:
    """The older session is told, ends, and the newer one is the device's."""
    line = Line()
    scene.net.companions.attach(scene.first, line)
    told = "<stream:error><conflict type=replaced/></stream:error>"
    assert [told] == [str(stanza) for stanza, _ in scene.first_line.ends]
    assert line is scene.first.session
    assert not scene.first.active
    assert (1, 1) == (scene.first.counts["replaced"], scene.first.counts["logged_in"])


def test_first_login_replaces_nobody(scene: Scene) -> None:
    """A login after an absence ends nothing."""
    scene.net.companions.departed(scene.first)
    scene.net.companions.attach(scene.first, Line())
    assert [] == scene.first_line.ends
    assert 0 == scene.first.counts["replaced"]


def test_activation_is_told_to_the_phone(scene: Scene) -> None:
    """The phone learns each time a companion is ready, and which time is the first."""
    device = fresh(scene)
    scene.net.companions.add(device)
    for _ in range(2):
        scene.net.companions.attach(device, Line())
        scene.net.companions.activated(device)
        scene.net.companions.departed(device)
    assert [("active", 5, True), ("active", 5, False)] == [told for told in scene.phone.told if told[0] == "active"]


@pytest.mark.parametrize("kind", ["drop", "replaced", "unavailable", "restart"])
def test_struck_sessions_end(scene: Scene, kind: str) -> None:
    """A live fault ends the sessions in scope and detaches them at once; the devices stay linked."""
    assert 2 == scene.net.companions.strike(kind, OWN)
    for device, line in ((scene.first, scene.first_line), (scene.second, scene.second_line)):
        assert 1 == len(line.ends)
        assert (kind == "drop") == (line.ends[0][0] is None)
        assert device.session is None
    assert [] == scene.bobs_line.ends
    assert [0, 1, 2] == scene.net.router.devices(OWN)


def test_stanzas_for_a_struck_session_wait(scene: Scene) -> None:
    """Nothing is written to a session that is ending."""
    scene.net.companions.strike("drop", scene.bobs.lid)
    scene.net.router.deliver(scene.bobs.lid, scene.net.router.delivery.notification("encrypt", OWN))
    assert 1 == len(scene.bobs.outbox)
    assert [] == scene.bobs_line.sent


@pytest.mark.parametrize(
    ("scope", "struck"),
    [(None, 3), (OWN, 2), (JID("33601", "s.whatsapp.net"), 2), (OWN.of_device(2), 1), (BOB.of_device(9), 0)],
)
def test_strike_scope(scene: Scene, scope: JID | None, struck: int) -> None:
    """Everyone, an account or a device can be meant, by either address."""
    assert struck == scene.net.companions.strike("drop", scope)


def test_logged_out_is_forgotten(scene: Scene) -> None:
    """The fault that logs a device out removes it for good."""
    scene.net.companions.strike("logged_out", scene.first.lid)
    assert [0, 2] == scene.net.router.devices(OWN)
    assert "code=401" in str(scene.first_line.ends[0][0])


def test_frozen_until_cleared(scene: Scene) -> None:
    """A frozen session stays attached until it is thawed."""
    assert 1 == scene.net.companions.strike("freeze", scene.first.lid)
    assert scene.first_line.frozen
    assert scene.first_line is scene.first.session
    scene.net.companions.thaw()
    assert not scene.first_line.frozen


@pytest.mark.parametrize("kind", ["delay", "refuse", "no such kind"])
def test_only_live_kinds_strike(scene: Scene, kind: str) -> None:
    """A lasting or unknown kind cannot strike."""
    with pytest.raises(ValueError, match="no live fault"):
        scene.net.companions.strike(kind)


def test_struck_sessions_are_counted(scene: Scene) -> None:
    """Each strike counts for its device."""
    scene.net.companions.strike("restart", scene.first.lid)
    assert (1, 1, 0) == (
        scene.first.counts["struck_restart"],
        scene.first.counts["departed"],
        scene.second.counts["struck_restart"],
    )
    assert NOW == scene.net.world.trace[-1].at
