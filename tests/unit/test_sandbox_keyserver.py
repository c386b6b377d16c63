"""The key queries: counts, uploads and bundles."""

import pytest

from tests.sandbox.keys import OneTimeKeys
from tests.sandbox.node import JID, Node, node
from tests.unit.test_sandbox_messages import BOB, OWN, Scene


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def prekey(number: int, tag: str = "key", *more: Node) -> Node:
    """A prekey as the client writes it."""
    return node(tag, node("id", number.to_bytes(3)), node("value", bytes((number % 251,)) * 32), *more)


def upload(scene: Scene, *numbers: int, identity: bytes = b"i" * 32, extra: tuple[Node, ...] = ()) -> Node:
    """Upload keys from the owner's first device; the answer."""
    content = (
        node("registration", (99).to_bytes(4)),
        node("type", b"\x05"),
        node("identity", identity),
        node("list", *(prekey(number) for number in numbers), *extra),
        prekey(7, "skey", node("signature", b"S" * 64)),
    )
    return scene.net.asked(scene.first, *content, kind="set", xmlns="encrypt")


def count(scene: Scene) -> str:
    """The prekey count that the owner's first device is told."""
    return scene.net.asked(scene.first, node("count"), xmlns="encrypt").need("count").get("value")


def bundles(scene: Scene, *jids: JID) -> list[Node]:
    """Ask for key bundles."""
    users = (node("user", jid=jid, reason="identity") for jid in jids)
    return scene.net.asked(scene.first, node("key", *users), xmlns="encrypt").need("list").children


def test_true_count(scene: Scene) -> None:
    """The count is what the server holds."""
    assert "10" == count(scene)
    scene.first.prekeys.take()
    assert "9" == count(scene)


@pytest.mark.parametrize(("logins", "held", "told"), [(0, 0, "100"), (0, 3, "3"), (1, 0, "0")])
def test_pretended_count(scene: Scene, logins: int, held: int, told: str) -> None:
    """Only a fresh device without keys is told the pretended count; afterwards it is the truth."""
    scene.net.world.settings.fresh_count = 100
    scene.first.logins, scene.first.prekeys = logins, OneTimeKeys(bytes(35 * held))
    assert told == count(scene)


def test_upload_adds_and_replaces(scene: Scene) -> None:
    """One-time keys are added to those left, registration and signed prekey are replaced."""
    assert "result" == upload(scene, 1, 2, 0xABCDEF).get("type")
    assert 13 == len(scene.first.prekeys)
    assert (99, 7, b"\x07" * 32, b"S" * 64) == (scene.first.registration, *scene.first.signed)
    taken = [scene.first.prekeys.take() for _ in range(13)]
    assert [1, 2, 0xABCDEF] == [key.id for key in taken[10:] if key]
    assert 1 == scene.first.counts["uploaded_keys"]


def test_upload_of_another_identity(scene: Scene) -> None:
    """A device cannot change its identity by an upload."""
    assert "code=400" in str(upload(scene, 1, identity=b"x" * 32))
    assert 10 == len(scene.first.prekeys)


@pytest.mark.parametrize(
    "key",
    [
        node("key", node("id", b"\x01"), node("value", bytes(32))),
        node("key", node("id", bytes(3)), node("value", bytes(31))),
        node("key", node("id", bytes(3))),
    ],
    ids=["id", "size", "no value"],
)
def test_upload_of_odd_keys(scene: Scene, key: Node) -> None:
    """A key of a wrong shape is a bad request."""
    assert "code=400" in str(upload(scene, extra=(key,)))


def test_bundle_of_a_device(scene: Scene) -> None:
    """A linked device's bundle has a one-time key and its device identity, all in the sizes of the wire."""
    (found,) = bundles(scene, BOB.of_device(3))
    assert BOB.of_device(3) == found.jid("jid")
    assert ["registration", "type", "identity", "key", "skey", "device-identity"] == [c.tag for c in found.children]
    assert ((77).to_bytes(4), b"\x05", b"i" * 32) == tuple(c.data for c in found.children[:3])
    assert [(1000).to_bytes(3), b"k" * 32] == [c.data for c in found.need("key").children]
    assert [(1).to_bytes(3), b"s" * 32, b"g" * 64] == [c.data for c in found.need("skey").children]
    assert b"identity" == found.need("device-identity").data


def test_bundle_of_a_phone(scene: Scene) -> None:
    """A phone's bundle has no device identity."""
    (found,) = bundles(scene, OWN)
    assert found.child("device-identity") is None
    assert (3).to_bytes(3) == found.need("key").need("id").data


def test_used_up(scene: Scene) -> None:
    """Without one-time keys left a bundle comes without."""
    while scene.bobs.prekeys.take():
        pass
    (found,) = bundles(scene, BOB.of_device(3))
    assert found.child("key") is None
    assert found.child("skey") is not None


def test_each_key_once(scene: Scene) -> None:
    """Two bundles never share a one-time key."""
    first, second = bundles(scene, BOB.of_device(3), BOB.of_device(3))
    assert first.need("key").need("id").data != second.need("key").need("id").data


def test_unknown_devices(scene: Scene) -> None:
    """Each unknown device has its own error among the others' bundles."""
    found = bundles(scene, JID("9", "lid"), BOB.of_device(3), BOB.of_device(8))
    errors = [str(user.child()) for user in found if user.child("error")]
    assert ["<error code=404 text=item-not-found/>"] * 2 == errors


def test_unknown_key_query(scene: Scene) -> None:
    """Another element of the namespace is a bad request."""
    assert "code=400" in str(scene.net.asked(scene.first, node("digest"), xmlns="encrypt"))
