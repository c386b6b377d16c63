"""Signal sessions of the sandbox's phones: the vectors, each refusal, and the limits."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.sandbox.keys import KEY_TYPE, KeyPair
from tests.sandbox.signal import kdf, ratchet, session
from tests.sandbox.signal.device import MAX_PREKEYS, Device
from tests.sandbox.signal.errors import (
    InvalidMessage,
    NoSession,
    RepeatedCounter,
    SignalError,
    TooFarAhead,
    UnknownPrekey,
    UntrustedBundle,
)
from tests.sandbox.signal.ratchet import Chain, Opening, Ratchet, ReceivingChain
from tests.sandbox.signal.session import Session
from tests.sandbox.signal.wire import FirstMessage, RatchetMessage, write_message

VECTORS = json.loads((Path(__file__).parent.parent / "data" / "signal-vectors.json").read_text())
MESSAGES = [
    {"plain": bytes.fromhex(m["plain"]), "bytes": bytes.fromhex(m["bytes"]), "kind": m["type"]}
    for m in VECTORS["messages"]
]


def pair(vector: dict[str, str]) -> KeyPair:
    """A key pair of the vectors."""
    return KeyPair(bytes.fromhex(vector["priv"]), bytes.fromhex(vector["pub"]))


def vector_bob() -> Device:
    """The vectors' receiver, with the bundle that its sender used."""
    bob = VECTORS["bob"]
    return Device(
        identity=pair(bob["identity"]),
        registration=bob["registration"],
        signed=pair(bob["signed_prekey"]),
        signature=bytes.fromhex(bob["signed_prekey"]["signature"]),
        prekeys={bob["prekey"]["id"]: pair(bob["prekey"])},
    )


def vector_alice() -> Device:
    """The vectors' sender after it opened its session; the private base key is not in the vectors."""
    alice, start, bob = VECTORS["alice"], VECTORS["alice_start"], vector_bob()
    agreed, stepped = start["derivation"]
    opened = Ratchet(
        identity=bytes.fromhex(alice["identity"]["pub"]),
        peer=bob.identity.public,
        base=bytes.fromhex(start["base"]),
        root=bytes.fromhex(stepped["root"]),
        own=pair(start["ratchet"]),
        sending=Chain(bytes.fromhex(stepped["chain"])),
        receiving=[ReceivingChain(bob.signed.public, bytes.fromhex(agreed["chain"]))],
        opening=Opening(VECTORS["bob"]["prekey"]["id"], 1),
    )
    unused = KeyPair.of(bytes(32))
    return Device(pair(alice["identity"]), alice["registration"], unused, b"", sessions={"bob": Session([opened])})


def bob_random(size: int) -> bytes:
    """Gives the vectors' ratchet key where Bob makes a new one."""
    return bytes.fromhex(VECTORS["bob_ratchet_after_first"]["priv"])[:size]


def two_devices(seed: int = 0) -> tuple[Device, Device, Random]:
    """Two new devices, the first with a session towards the second."""
    random = Random(seed)
    alice, bob = Device.create(random.randbytes), Device.create(random.randbytes)
    alice.open_session("bob", bob.bundle(random.randbytes), random.randbytes)
    return alice, bob, random


def test_derives_the_keys_of_the_vectors() -> None:
    """Comes from the shared secrets to the root and chain keys that another implementation has."""
    agreed, stepped = VECTORS["alice_start"]["derivation"]
    secrets = b"".join(bytes.fromhex(s) for s in agreed["x3dh_secrets"])
    assert (agreed["root"], agreed["chain"]) == tuple(k.hex() for k in kdf.first_keys(secrets))
    keys = kdf.ratchet_step(bytes.fromhex(stepped["ratchet_in"]), bytes.fromhex(stepped["dh"]))
    assert (stepped["root"], stepped["chain"]) == tuple(k.hex() for k in keys)
    for message in VECTORS["messages"]:
        sealing = kdf.MessageKeys.derive(bytes.fromhex(message["seed"]))
        assert (message["cipher_key"], message["mac_key"], message["iv"]) == tuple(k.hex() for k in sealing)


def test_reads_the_messages_of_the_vectors() -> None:
    """Bob reads the first messages, repeated as pkmsg, and the msg under the sender's next ratchet key."""
    bob = vector_bob()
    for number in (0, 1):
        assert MESSAGES[number]["plain"] == bob.open("alice", "pkmsg", MESSAGES[number]["bytes"], bob_random)
    assert {} == bob.prekeys
    reply = bob.seal("alice", MESSAGES[2]["plain"])
    assert ("msg", MESSAGES[2]["bytes"]) == (reply.kind, reply.data)
    assert MESSAGES[3]["plain"] == bob.open("alice", "msg", MESSAGES[3]["bytes"], bob_random)


def test_writes_the_messages_of_the_vectors() -> None:
    """Alice writes, byte for byte, the first messages and reads the reply."""
    alice = vector_alice()
    for number in (0, 1):
        sealed = alice.seal("bob", MESSAGES[number]["plain"])
        assert ("pkmsg", MESSAGES[number]["bytes"]) == (sealed.kind, sealed.data)
    assert MESSAGES[2]["plain"] == alice.open("bob", "msg", MESSAGES[2]["bytes"], Random(0).randbytes)
    third = alice.seal("bob", b"third")
    parsed = RatchetMessage.parse(third.data)
    assert ("msg", 0) == (third.kind, parsed.counter)
    assert alice.sessions["bob"].current.previous == 1


def test_talks_both_ways_and_stops_repeating_the_opening() -> None:
    """Writes pkmsg until anything came back, then msg, over many turns."""
    alice, bob, random = two_devices()
    kinds = []
    for turn in range(6):
        writer, reader = (alice, bob) if turn % 2 == 0 else (bob, alice)
        names = ("bob", "alice") if turn % 2 == 0 else ("alice", "bob")
        for text in (b"one", b"two", b""):
            sealed = writer.seal(names[0], text)
            kinds.append(sealed.kind)
            assert text == reader.open(names[1], sealed.kind, sealed.data, random.randbytes)
    assert ["pkmsg"] * 3 + ["msg"] * 15 == kinds


def test_reads_without_a_one_time_key() -> None:
    """Opens a session from a bundle that had no one-time key left."""
    random = Random(3)
    alice, bob = Device.create(random.randbytes), Device.create(random.randbytes)
    bare = replace(bob.bundle(random.randbytes), prekey_id=None, prekey=None)
    alice.open_session("bob", bare, random.randbytes)
    sealed = alice.seal("bob", b"hello")
    assert FirstMessage.parse(sealed.data).prekey_id is None
    assert b"hello" == bob.open("alice", "pkmsg", sealed.data, random.randbytes)


def test_refuses_a_bundle_that_its_identity_did_not_sign() -> None:
    """Keeps the old session when somebody else signed the prekey."""
    alice, bob, random = two_devices()
    base = alice.current_base("bob")
    forged = replace(bob.bundle(random.randbytes), identity=alice.identity.public)
    with pytest.raises(UntrustedBundle):
        alice.open_session("bob", forged, random.randbytes)
    assert base == alice.current_base("bob")


def test_names_what_is_missing() -> None:
    """Tells a missing session, an unknown prekey and an unknown kind apart, and changes nothing."""
    alice, bob, random = two_devices()
    sealed = alice.seal("bob", b"x")
    first = FirstMessage.parse(sealed.data)
    before = pickle.dumps(bob)
    with pytest.raises(NoSession):
        bob.seal("alice", b"x")
    with pytest.raises(NoSession):
        bob.open("alice", "msg", first.inner, random.randbytes)
    with pytest.raises(InvalidMessage, match="kind"):
        bob.open("alice", "skmsg", sealed.data, random.randbytes)
    for changed in (replace(first, prekey_id=77), replace(first, signed_id=9)):
        with pytest.raises(UnknownPrekey):
            bob.open("alice", "pkmsg", changed.write(), random.randbytes)
    assert before == pickle.dumps(bob)


def test_a_repeat_is_an_old_counter_in_every_session() -> None:
    """Names a repeat as such, also when the session was archived since."""
    alice, bob, random = two_devices()
    sealed = alice.seal("bob", b"x")
    bob.open("alice", "pkmsg", sealed.data, random.randbytes)
    reply = bob.seal("alice", b"y")
    alice.open("bob", reply.kind, reply.data, random.randbytes)
    plain = alice.seal("bob", b"z")
    bob.open("alice", "msg", plain.data, random.randbytes)
    for _ in range(3):
        bob.open_session("alice", alice.bundle(random.randbytes), random.randbytes)
    before = pickle.dumps(bob)
    for kind, data in ((sealed.kind, sealed.data), (plain.kind, plain.data)):
        with pytest.raises(RepeatedCounter):
            bob.open("alice", kind, data, random.randbytes)
    assert before == pickle.dumps(bob)


def test_the_session_that_worked_comes_to_the_front() -> None:
    """Answers in the session in which the peer wrote last, also if that one was archived."""
    alice, bob, random = two_devices()
    sealed = alice.seal("bob", b"x")
    bob.open("alice", sealed.kind, sealed.data, random.randbytes)
    base = bob.current_base("alice")
    bob.open_session("alice", alice.bundle(random.randbytes), random.randbytes)
    assert base != bob.current_base("alice")
    again = alice.seal("bob", b"y")
    assert b"y" == bob.open("alice", again.kind, again.data, random.randbytes)
    assert base == bob.current_base("alice")


def test_keeps_forty_archived_sessions() -> None:
    """Reads a message of the fortieth session back and no older one; its one-time key is gone by then."""
    alice, bob, random = two_devices()
    sent = [alice.seal("bob", b"0")]
    bob.open("alice", sent[0].kind, sent[0].data, random.randbytes)
    late = alice.seal("bob", b"late")
    for _ in range(session.MAX_ARCHIVED):
        bob.open_session("alice", alice.bundle(random.randbytes), random.randbytes)
    assert session.MAX_ARCHIVED + 1 == len(bob.sessions["alice"].ratchets)
    assert b"late" == pickle.loads(pickle.dumps(bob)).open("alice", late.kind, late.data, random.randbytes)  # noqa: S301 - pickled here
    bob.open_session("alice", alice.bundle(random.randbytes), random.randbytes)
    with pytest.raises(UnknownPrekey):
        bob.open("alice", late.kind, late.data, random.randbytes)


def test_skips_up_to_two_thousand_messages_and_no_more() -> None:
    """Keeps the keys of 2000 missing messages, refuses a message further ahead, forgets the oldest keys."""
    alice, bob, random = two_devices()
    sent = [alice.seal("bob", b"%d" % n) for n in range(2 * ratchet.MAX_SKIPPED + 3)]
    with pytest.raises(TooFarAhead):
        bob.open("alice", "pkmsg", sent[ratchet.MAX_SKIPPED + 1].data, random.randbytes)
    assert b"2000" == bob.open("alice", "pkmsg", sent[ratchet.MAX_SKIPPED].data, random.randbytes)
    assert b"4001" == bob.open("alice", "pkmsg", sent[2 * ratchet.MAX_SKIPPED + 1].data, random.randbytes)
    chain = bob.sessions["alice"].current.receiving[0]
    assert ratchet.MAX_SKIPPED == len(chain.skipped)
    with pytest.raises(RepeatedCounter):
        bob.open("alice", "pkmsg", sent[1999].data, random.randbytes)
    assert b"2001" == bob.open("alice", "pkmsg", sent[2001].data, random.randbytes)


def test_keeps_five_receiving_chains() -> None:
    """Reads a late message under the fifth newest ratchet key; under an older one it is no message at all."""
    alice, bob, random = two_devices()
    late = []
    for turn in range(ratchet.MAX_RECEIVING + 1):
        first = alice.seal("bob", b"%d" % turn)
        late.append(alice.seal("bob", b"late %d" % turn))
        bob.open("alice", first.kind, first.data, random.randbytes)
        reply = bob.seal("alice", b"reply")
        alice.open("bob", reply.kind, reply.data, random.randbytes)
    assert ratchet.MAX_RECEIVING == len(bob.sessions["alice"].current.receiving)
    assert b"late 1" == bob.open("alice", late[1].kind, late[1].data, random.randbytes)
    with pytest.raises(InvalidMessage):
        bob.open("alice", late[0].kind, late[0].data, random.randbytes)


def test_forgets_the_oldest_one_time_keys_beyond_the_bound() -> None:
    """Holds a bounded number of handed out keys."""
    device, random = Device.create(Random(5).randbytes), Random(6)
    for _ in range(MAX_PREKEYS + 2):
        device.bundle(random.randbytes)
    assert MAX_PREKEYS == len(device.prekeys)
    assert 3 == min(device.prekeys)


def test_refuses_a_key_of_low_order() -> None:
    """Takes a base key without a shared secret for a broken message, not for a crash."""
    alice, bob, random = two_devices()
    first = FirstMessage.parse(alice.seal("bob", b"x").data)
    with pytest.raises(InvalidMessage, match="low order"):
        bob.open("alice", "pkmsg", replace(first, base=bytes(32)).write(), random.randbytes)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x33",
        b"\x23" + bytes(60),
        b"\x33\x0a\x21\x05" + bytes(10),
        b"\x33\x0b" + bytes(20),
        b"\x33\x0a\x20" + bytes(60),
        b"\x33" + b"\xff" * 40,
        b"\x33\x0a\x21\x05" + bytes(32) + b"\x10\xff\xff\xff\xff\xff\x01\x22\x00" + bytes(8),
        b"\x33\x0a\x21\x05" + bytes(32) + b"\x12\x01\x00\x22\x00" + bytes(8),
    ],
    ids=["empty", "no body", "version 2", "cut", "group", "bare key", "endless", "counter", "type"],
)
def test_bytes_that_are_no_message_are_named_so(data: bytes) -> None:
    """Raises InvalidMessage for what cannot be read as a message of either kind."""
    with pytest.raises(InvalidMessage):
        RatchetMessage.parse(data)
    with pytest.raises(InvalidMessage):
        FirstMessage.parse(data)


@pytest.mark.parametrize(("counter", "written"), [(0, "00"), (127, "7f"), (128, "8001"), (2**32 - 1, "ffffffff0f")])
def test_numbers_are_written_as_protobuf_does(counter: int, written: str) -> None:
    """Writes numbers in as few bytes as they need, and 0 as well."""
    assert f"10{written}1800" in write_message(bytes(32), counter, 0, b"").hex()


def test_a_message_that_ends_too_early_is_named() -> None:
    """Refuses a message at every length shorter than its own, with the reason where it is known."""
    alice, _, _ = two_devices()
    data = alice.seal("bob", b"x").data
    for size in range(len(data)):
        with pytest.raises(InvalidMessage):
            FirstMessage.parse(data[:size])
    with pytest.raises(InvalidMessage, match="cut short"):
        FirstMessage.parse(data[:60])


def test_skips_fields_that_it_does_not_know() -> None:
    """Reads a message with further fields of every wire type."""
    body = b"\x0a\x21\x05" + bytes(32) + b"\x22\x01s" + b"\x38\x01" + b"\x3a\x01x" + b"\x3d1234" + b"\x3912345678"
    message = RatchetMessage.parse(b"\x33" + body + bytes(8))
    assert (bytes(32), 0, b"s") == (message.ratchet, message.counter, message.sealed)


def test_refuses_a_prekey_id_that_is_no_number() -> None:
    """Names a prekey id of the wrong type instead of looking it up."""
    alice, _, _ = two_devices()
    written = bytearray(alice.seal("bob", b"x").data)
    assert written[1] == 0x08
    with pytest.raises(InvalidMessage, match="number"):
        FirstMessage.parse(b"\x33\x0a\x01x" + bytes(written[1:]).replace(b"\x08\x01", b"", 1))


def test_all_errors_are_one_family() -> None:
    """Lets a caller catch everything that a peer's bytes may cause by one name."""
    family = (InvalidMessage, NoSession, RepeatedCounter, TooFarAhead, UnknownPrekey, UntrustedBundle)
    assert all(issubclass(error, SignalError) for error in family)


def test_derived_keys_know_the_type_byte() -> None:
    """Takes a public key out of a message only with its type byte."""
    assert bytes(32) == kdf.untyped(KEY_TYPE + bytes(32))
    for wrong in (bytes(32), b"\x06" + bytes(32), KEY_TYPE + bytes(31)):
        with pytest.raises(InvalidMessage):
            kdf.untyped(wrong)
