"""App state of the sandbox's phones: patches both ways, the summation hash, and every MAC."""

import json
from pathlib import Path
from random import Random

import pytest

from tests.sandbox.phones import appstate, lthash
from tests.sandbox.phones.appstate import AppStateError, Mutation, Replica, SyncKey
from tests.sandbox.proto import wa_server_sync, wa_sync_action

RANDOM = Random(7)
KEY = SyncKey.generate(RANDOM.randbytes, now=1_700_000_000.5)
KEYS = {KEY.id: KEY.expand()}
ALICE = "33612000001@s.whatsapp.net"


def named(name: str, pn: str = ALICE, *, removed: bool = False) -> Mutation:
    """A change of the address book."""
    mutation = appstate.contact(pn, "9001@lid", name)[1]
    return Mutation(mutation.index, mutation.value, mutation.version, removed=removed)


def test_a_key_is_expanded_into_five() -> None:
    """Derives five different keys, the same at every call."""
    keys = KEY.expand()
    parts = {keys.index, keys.value, keys.value_mac, keys.snapshot, keys.patch}
    assert (5, keys) == (len(parts), KEY.expand())
    assert (6, 32, 1_700_000_000_500) == (len(KEY.id), len(KEY.data), KEY.timestamp)


def test_another_device_reads_what_a_phone_writes() -> None:
    """Comes to the same replica over patches that set, replace and remove entries."""
    phone = companion = Replica("critical_unblock_low")
    steps = [
        [named("Alice"), named("Bob", "33612000002@s.whatsapp.net")],
        [named("Alice Example")],
        [named("", removed=True)],
        [named("Alice again"), named("Alice twice")],
    ]
    for version, step in enumerate(steps, 1):
        patch, phone = phone.write(step, KEY, RANDOM.randbytes)
        read, companion = companion.read(patch, KEYS)
        assert step == read
        assert (version, phone.hash) == (companion.version, companion.hash)
    found = companion.value("contact", ALICE)
    assert found is not None
    assert ("Alice twice", "Alice", "9001@lid") == (
        found.contactAction.fullName,
        found.contactAction.firstName,
        found.contactAction.lidJID,
    )
    assert companion.value("contact", "nobody") is None


def test_reads_what_the_real_client_wrote() -> None:
    """Believes the patches that neonize 0.5.2 wrote after one of a phone, down to the same hash.

    The file was recorded from `set_profile_name`, twice, with a key made for it.
    """
    vectors = json.loads((Path(__file__).parent.parent / "data" / "appstate-vectors.json").read_text("utf-8"))
    named = vectors["key"]
    key = SyncKey(bytes.fromhex(named["id"]), bytes.fromhex(named["data"]), named["timestamp"])
    replica = Replica(vectors["collection"])
    for name, patch in zip(vectors["names"], vectors["patches"], strict=True):
        (mutation,), replica = replica.read(bytes.fromhex(patch), {key.id: key.expand()})
        assert (("setting_pushName",), name) == (mutation.index, mutation.value.pushNameSetting.name)
    assert (3, vectors["hash"]) == (replica.version, replica.hash.hex())


def test_the_hash_forgets_what_was_removed() -> None:
    """Comes back to the empty hash when the last entry goes."""
    patch, full = Replica("regular").write([named("Alice")], KEY, RANDOM.randbytes)
    assert patch
    assert lthash.EMPTY != full.hash
    _, empty = full.write([named("", removed=True)], KEY, RANDOM.randbytes)
    assert (lthash.EMPTY, {}) == (empty.hash, empty.entries)


def test_the_push_name_is_an_entry_of_its_collection() -> None:
    """Writes the push name where the client looks for it."""
    collection, mutation = appstate.push_name("Alice")
    assert ("critical_block", ("setting_pushName",)) == (collection, mutation.index)
    assert mutation.value.pushNameSetting.name == "Alice"


def test_the_hash_does_not_care_for_order() -> None:
    """Sums value MACs in any order and takes them out again."""
    macs = [RANDOM.randbytes(32) for _ in range(5)]
    forward = lthash.update(lthash.EMPTY, macs, [])
    backward = lthash.update(lthash.EMPTY, reversed(macs), [])
    assert forward == backward
    assert lthash.update(forward, [], macs[1:]) == lthash.update(lthash.EMPTY, macs[:1], [])
    assert lthash.HASH_SIZE == len(forward)


def spoil(patch_bytes: bytes, field: str) -> bytes:
    """A patch with one bit of one field flipped."""
    patch = wa_server_sync.SyncdPatch.FromString(patch_bytes)
    record = patch.mutations[0].record
    holder, name = {
        "value": (record.value, "blob"),
        "index": (record.index, "blob"),
        "key": (record.keyID, "ID"),
        "snapshot": (patch, "snapshotMAC"),
        "patch": (patch, "patchMAC"),
        "patch key": (patch.keyID, "ID"),
    }[field]
    data = bytearray(getattr(holder, name))
    data[-1] ^= 1
    setattr(holder, name, bytes(data))
    return bytes(patch.SerializeToString())


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("value", "value MAC"),
        ("index", "index MAC"),
        ("key", "never shared"),
        ("snapshot", "snapshot MAC"),
        ("patch", "patch MAC"),
        ("patch key", "never shared"),
    ],
)
def test_every_authenticated_part_is_checked(field: str, reason: str) -> None:
    """Refuses a patch with any one part changed, and says which."""
    patch, _ = Replica("regular").write([named("Alice")], KEY, RANDOM.randbytes)
    with pytest.raises(AppStateError, match=reason):
        Replica("regular").read(spoil(patch, field), KEYS)


def test_a_patch_of_another_history_is_refused() -> None:
    """Refuses a patch that builds on entries this replica does not hold."""
    _, ahead = Replica("regular").write([named("Alice")], KEY, RANDOM.randbytes)
    patch, _ = ahead.write([named("Bob")], KEY, RANDOM.randbytes)
    with pytest.raises(AppStateError, match="snapshot"):
        Replica("regular").read(patch, KEYS)


def test_bytes_that_are_no_patch_are_refused() -> None:
    """Names what is no protobuf, and a value that is no action although its MAC is right."""
    with pytest.raises(AppStateError, match="not a patch"):
        Replica("regular").read(b"\xff\xff", KEYS)
    broken = Mutation(("x",), wa_sync_action.SyncActionValue(), 1)
    content = RANDOM.randbytes(16) + bytes(16)
    keys = KEY.expand()
    patch = wa_server_sync.SyncdPatch.FromString(Replica("regular").write([broken], KEY, RANDOM.randbytes)[0])
    patch.mutations[0].record.value.blob = content + appstate._value_mac(keys, 0, KEY.id, content)
    with pytest.raises(AppStateError, match="no action"):
        Replica("regular").read(patch.SerializeToString(), KEYS)
