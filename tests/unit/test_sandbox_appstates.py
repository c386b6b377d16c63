"""App state on the server: versions, conflicts, and who is told."""

import pytest

from tests.sandbox.node import Node, StanzaError, node
from tests.sandbox.proto import wa_server_sync
from tests.unit.test_sandbox_messages import Scene

NAME = "regular_high"


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def patch(mac: bytes) -> bytes:
    """A patch that is recognised by its MAC."""
    return bytes(wa_server_sync.SyncdPatch(patchMAC=mac).SerializeToString())


def append(scene: Scene, base: int, mac: bytes, by: int = 0) -> int | None:
    """Store a patch as the phone (or as a device)."""
    return scene.net.router.app_state_patch(scene.owner, NAME, base, patch(mac), by)


def sync(scene: Scene, *asked: Node) -> list[Node]:
    """Synchronise collections from the owner's first device."""
    answer = scene.net.asked(scene.first, node("sync", *asked), kind="set", xmlns="w:sync:app:state")
    return answer.need("sync").children


def held(collection: Node) -> list[tuple[int, bytes]]:
    """The versions and MACs of the patches in an answer."""
    patches = collection.child("patches")
    parsed = (wa_server_sync.SyncdPatch.FromString(each.data) for each in (patches.children if patches else ()))
    return [(each.version.version, each.patchMAC) for each in parsed]


def test_versions_count_up(scene: Scene) -> None:
    """Each patch has the next version, and carries it."""
    assert (1, 2) == (append(scene, 0, b"a"), append(scene, 1, b"b"))
    (answer,) = sync(scene, node("collection", name=NAME, return_snapshot="true"))
    assert "2" == answer.get("version")
    assert [(1, b"a"), (2, b"b")] == held(answer)


def test_only_what_is_missing(scene: Scene) -> None:
    """A device that has a version gets the patches after it, and nothing once it is up to date."""
    for base, mac in enumerate((b"a", b"b", b"c")):
        append(scene, base, mac)
    assert [(3, b"c")] == held(sync(scene, node("collection", name=NAME, version=2))[0])
    assert [] == held(sync(scene, node("collection", name=NAME, version=3))[0])


def test_fresh_collections_are_empty(scene: Scene) -> None:
    """A collection that nobody wrote to has version 0 and no patches; several are answered in order."""
    names = "critical_block", "regular_low"
    answer = sync(scene, *(node("collection", name=name, return_snapshot="true") for name in names))
    assert [f"<collection name={name} version=0/>" for name in names] == [str(each) for each in answer]


def test_old_base_is_refused(scene: Scene) -> None:
    """A patch on an old version is not stored."""
    append(scene, 0, b"a")
    assert append(scene, 0, b"b") is None
    assert 1 == scene.owner.collections[NAME].version


@pytest.mark.parametrize("wrapped", [False, True], ids=["direct", "in patches"])
def test_device_brings_a_patch(scene: Scene, wrapped: bool) -> None:  # noqa: FBT001
    """A device's patch is stored; the phone learns it by a call, the sibling by a notification, the writer not."""
    brought = node("patch", patch(b"mine"))
    content = node("patches", brought) if wrapped else brought
    (answer,) = sync(scene, node("collection", content, name=NAME, version=0))
    assert f"<collection name={NAME} version=1/>" == str(answer)
    told = [entry for entry in scene.phone.told if entry[0] == "changed"]
    assert [(NAME, 1)] == [entry[1:3] for entry in told]
    news = [str(s.child()) for s in scene.second_line.sent if s.get("type") == "server_sync"]
    assert [f"<collection name={NAME} version=1/>"] == news
    assert [] == scene.first_line.sent


def test_conflict_brings_what_is_missing(scene: Scene) -> None:
    """A device with an old version gets the error 409 and the patches that it lacks, and tries again."""
    append(scene, 0, b"phone")
    mine = node("patch", patch(b"mine"))
    (answer,) = sync(scene, node("collection", mine, name=NAME, version=0))
    assert ("error", "<error code=409 text=conflict/>") == (answer.get("type"), str(answer.need("error")))
    assert [(1, b"phone")] == held(answer)
    (again,) = sync(scene, node("collection", mine, name=NAME, version=1))
    assert "2" == again.get("version")


def test_change_by_the_phone_is_announced(scene: Scene) -> None:
    """All companions learn of the phone's change; the phone itself is not called."""
    append(scene, 0, b"a")
    for line in (scene.first_line, scene.second_line):
        assert [f"<collection name={NAME} version=1/>"] == [str(stanza.child()) for stanza in line.sent]
    assert [] == scene.phone.told


def test_unknown_collection(scene: Scene) -> None:
    """A collection that does not exist is the asker's mistake."""
    with pytest.raises(StanzaError, match="no app-state collection"):
        scene.net.router.app_state_patch(scene.owner, "secrets", 0, patch(b"a"), 0)
    asked = node("sync", node("collection", name="secrets"))
    assert "code=400" in str(scene.net.asked(scene.first, asked, kind="set", xmlns="w:sync:app:state"))


def test_patch_that_is_none(scene: Scene) -> None:
    """Bytes that are no patch are refused, and the version stays."""
    with pytest.raises(StanzaError, match="not an app-state patch"):
        scene.net.router.app_state_patch(scene.owner, NAME, 0, b"\xff\xff", 0)
    assert 0 == scene.owner.collections[NAME].version
