"""Reading messages: key bundles in stanzas, broken stanzas, and bounds."""

from dataclasses import replace

import pytest

from tests.sandbox.node import JID, Node, StanzaError, node
from tests.sandbox.phones import content
from tests.sandbox.phones.incoming import Opened, Unread, keys_node, read_keys
from tests.sandbox.phones.line import PhoneError
from tests.sandbox.phones.reception import Habits
from tests.sandbox.phones.retries import REMEMBERED
from tests.sandbox.signal.errors import SignalError
from tests.unit.sandbox_box import Box, Companion


class Reading(Box):
    """Bob, who reads, and Alice's companion, who writes."""

    def __init__(self) -> None:
        super().__init__()
        self.alice = self.phone("33612000001", "Alice", Habits(app_state=False))
        self.bob = self.phone("33612000002", "Bob")
        self.desk: Companion = self.companion(self.alice)

    def sealed(self, text: str = "hello", message_id: str = "A") -> Node:
        """A message of the companion, as it reaches Bob's phone."""
        enc = self.desk._enc(self.bob.line.lid, content.text_message(text))
        return node("message", enc, id=message_id, type="text", from_=self.desk.lid)


@pytest.fixture
def box() -> Reading:
    """Bob and Alice's companion."""
    return Reading()


def retry(*children: Node) -> Node:
    """A retry receipt with these children."""
    return node("receipt", node("registration", b"\x00\x00\x12\x34"), *children, type="retry", id="A")


def test_a_bundle_survives_its_stanza(box: Reading) -> None:
    """Reads back what was written, with and without a one-time key."""
    bundle = box.bob.bundle()
    bundle = replace(bundle, registration=0x1234)
    assert bundle == read_keys(retry(keys_node(bundle)))
    bare = replace(bundle, prekey=None, prekey_id=None)
    assert bare == read_keys(retry(keys_node(bare)))
    assert read_keys(retry()) is None


def test_a_companions_device_identity_is_read(box: Reading) -> None:
    """Takes the device identity that a companion sends along."""
    keys = keys_node(box.bob.bundle())
    keys.children.append(node("device-identity", b"signed"))
    bundle = read_keys(retry(keys))
    assert bundle is not None
    assert b"signed" == bundle.device_identity


@pytest.mark.parametrize("missing", ["identity", "skey"])
def test_a_broken_bundle_is_named(box: Reading, missing: str) -> None:
    """Raises for keys without identity or signed prekey."""
    whole = keys_node(box.bob.bundle())
    broken = Node("keys", {}, [child for child in whole.children if child.tag != missing])
    with pytest.raises(StanzaError, match=missing):
        read_keys(retry(broken))


def test_reads_a_message_once(box: Reading) -> None:
    """Opens it, and knows it afterwards."""
    stanza = box.sealed()
    opened, again = box.bob.reception.incoming.open(stanza), box.bob.reception.incoming.open(stanza)
    assert isinstance(opened, Opened)
    assert ("hello", "pkmsg", 0, box.desk.lid) == (
        opened.message.conversation,
        opened.kind,
        opened.attempt,
        opened.sender,
    )
    assert Unread(box.desk.lid, repeat=True) == again


def test_a_sender_by_number_is_the_same_device(box: Reading) -> None:
    """Finds the session of a device that is named by its number, as peer messages are."""
    pn = box.alice.line.account.pn.of_device(1)
    opened = box.bob.reception.incoming.open(box.sealed().with_attrs(from_=pn))
    assert isinstance(opened, Opened)
    assert box.desk.lid == opened.sender


def test_stanzas_that_are_no_message_are_named(box: Reading) -> None:
    """Raises for a message without sender, without ciphertext, or of a stranger."""
    stanza = box.sealed()
    with pytest.raises(StanzaError, match="without from"):
        box.bob.reception.incoming.open(stanza.with_attrs(from_=None))
    with pytest.raises(StanzaError, match="without <enc>"):
        box.bob.reception.incoming.open(Node("message", stanza.attrs))
    with pytest.raises(PhoneError, match="no such account"):
        box.bob.reception.incoming.open(stanza.with_attrs(from_=JID("999", "lid")))


@pytest.mark.parametrize("kind", ["skmsg", "", "msmsg"])
def test_ciphertexts_of_unknown_kind_are_asked_for(box: Reading, kind: str) -> None:
    """Treats what it cannot read as unreadable, not as an accident."""
    stanza = box.sealed()
    enc = stanza.need("enc").with_attrs(type=kind or None)
    unread = box.bob.reception.incoming.open(Node("message", stanza.attrs, [enc]))
    assert Unread(box.desk.lid, repeat=False, error="InvalidMessage", attempt=1) == unread
    assert 1 == len(box.desk.of("receipt", type="retry"))


def test_a_plaintext_that_is_no_message_is_asked_for(box: Reading) -> None:
    """Asks again where decryption worked but nothing sensible came out."""
    device, lid = box.desk.device, box.bob.line.lid
    bundle = box.router.bundle(lid)
    assert bundle is not None
    device.open_session(lid, bundle, box.random.randbytes)
    sealed = device.seal(lid, b"no padding\x00")
    stanza = node("message", node("enc", sealed.data, type=sealed.kind), id="A", from_=box.desk.lid)
    unread = box.bob.reception.incoming.open(stanza)
    assert isinstance(unread, Unread)
    assert ("ValueError", 1) == (unread.error, unread.attempt)


def test_what_is_remembered_is_bounded(box: Reading) -> None:
    """Keeps the ids of so many messages and no more."""
    incoming = box.bob.reception.incoming
    for number in range(REMEMBERED + 10):
        incoming.seen.put((box.desk.lid.bare, str(number)), None)
        incoming.asking.ask(box.desk.lid, str(number), b"base")
    assert REMEMBERED == len(incoming.seen) == len(incoming.asking.attempts)
    assert 1 == len(incoming.asking.keyed)


def test_all_that_a_peer_can_cause_is_an_answer(box: Reading) -> None:
    """Turns any bytes into a request, never into an exception of the cryptography."""
    random = box.random
    for number in range(200):
        kind = "pkmsg" if number % 2 else "msg"
        enc = node("enc", b"\x33" + random.randbytes(random.randrange(1, 120)), type=kind)
        try:
            unread = box.bob.reception.incoming.open(node("message", enc, id=str(number), from_=box.desk.lid))
        except SignalError as error:
            raise AssertionError("a peer's bytes raised") from error
        assert isinstance(unread, Unread)
        assert 1 == unread.attempt
