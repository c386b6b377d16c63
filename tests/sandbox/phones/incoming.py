"""A phone's way in: decryption, repeats, and asking again for what cannot be read.

Called by `reception`. The rules for asking are in `retries`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.sandbox.contract import Bundle
from tests.sandbox.keys import ID_SIZE, KEY_TYPE
from tests.sandbox.node import JID, Node, node
from tests.sandbox.phones import content
from tests.sandbox.phones.line import Line
from tests.sandbox.phones.retries import Asking, Recent
from tests.sandbox.proto import wa_e2e
from tests.sandbox.signal.errors import RepeatedCounter, SignalError

REGISTRATION_SIZE = 4  # bytes of a registration id in stanzas, big-endian


class Opened(NamedTuple):
    """A message that was read for the first time. `attempt` is above 0 if it had to be asked for."""

    sender: JID
    message: wa_e2e.Message
    kind: str
    attempt: int


class Unread(NamedTuple):
    """A message that was not given out: a `repeat`, or undecryptable and asked for (`attempt`, 0 = given up)."""

    sender: JID
    repeat: bool
    error: str = ""
    attempt: int = 0


@dataclass(slots=True, eq=False)
class Incoming:
    """Reads the messages to one phone."""

    line: Line
    asking: Asking = field(default_factory=Asking)
    seen: Recent[tuple[JID, str], None] = field(default_factory=Recent)

    def open(self, stanza: Node) -> Opened | Unread:
        """Decrypt a message stanza; asks its sender again if it cannot be read.

        Raises StanzaError for a message without sender or ciphertext, PhoneError for one of a stranger.
        """
        sender = self.line.address(stanza.jid("from"))
        message_id, enc = stanza.get("id"), stanza.need("enc")
        key = (sender.bare, message_id)
        try:
            plain = self.line.device.open(sender, enc.get("type"), enc.data, self.line.random)
            message = content.unpad(plain)
        except RepeatedCounter as error:
            # An id that we know is the same message again; a new one was written under a used counter.
            return Unread(sender, repeat=True) if key in self.seen else self._ask(sender, stanza, error)
        except (SignalError, ValueError) as error:
            return self._ask(sender, stanza, error)
        if key in self.seen:
            return Unread(sender, repeat=True)
        self.seen.put(key, None)
        return Opened(sender, message, enc.get("type"), enc.number("count", 0))

    def _ask(self, sender: JID, stanza: Node, error: Exception) -> Unread:
        message_id, device = stanza.get("id"), self.line.device
        ask = self.asking.ask(sender, message_id, device.current_base(sender))
        name = type(error).__name__
        if ask is None:
            return Unread(sender, repeat=False, error=name)
        retry = node("retry", count=ask.attempt, id=message_id, t=stanza.get("t"), v=1)
        registration = node("registration", device.registration.to_bytes(REGISTRATION_SIZE))
        keys = [keys_node(device.bundle(self.line.random))] if ask.with_keys else []
        receipt = node("receipt", retry, registration, *keys, to=sender, id=message_id, type="retry")
        self.line.submit(receipt)
        return Unread(sender, repeat=False, error=name, attempt=ask.attempt)


def keys_node(bundle: Bundle) -> Node:
    """The `<keys>` of a retry receipt."""
    signed = node(
        "skey",
        node("id", bundle.signed_id.to_bytes(ID_SIZE)),
        node("value", bundle.signed_key),
        node("signature", bundle.signature),
    )
    keys = [node("type", KEY_TYPE), node("identity", bundle.identity)]
    if bundle.prekey is not None and bundle.prekey_id is not None:
        prekey_id = node("id", bundle.prekey_id.to_bytes(ID_SIZE))
        keys.append(node("key", prekey_id, node("value", bundle.prekey)))
    return node("keys", *keys, signed)


def read_keys(receipt: Node) -> Bundle | None:
    """The bundle in a retry receipt, None if it carries none; raises StanzaError if it is broken."""
    if (keys := receipt.child("keys")) is None:
        return None
    signed, prekey = keys.need("skey"), keys.child("key")
    identity = keys.child("device-identity")
    return Bundle(
        registration=int.from_bytes(receipt.need("registration").data),
        identity=keys.need("identity").data,
        signed_id=int.from_bytes(signed.need("id").data),
        signed_key=signed.need("value").data,
        signature=signed.need("signature").data,
        prekey_id=int.from_bytes(prekey.need("id").data) if prekey else None,
        prekey=prekey.need("value").data if prekey else None,
        device_identity=identity.data if identity else None,
    )
