"""The `encrypt` namespace: how many prekeys are left, uploads, and key bundles of others.

Called by `queries`.
"""

from collections.abc import Iterator

from tests.sandbox.contract import Bundle
from tests.sandbox.keys import ID_SIZE, KEY_SIZE, KEY_TYPE, Prekey, SignedPrekey
from tests.sandbox.node import JID, Node, StanzaError, node
from tests.sandbox.router import Router
from tests.sandbox.world import Device, Sender

REGISTRATION_SIZE = 4  # bytes of a registration id in stanzas, big-endian


class KeyServer:
    """Stores the public keys of linked devices and hands bundles out."""

    def __init__(self, router: Router) -> None:
        self.router, self.world = router, router.world

    def query(self, sender: Sender, iq: Node) -> list[Node]:
        """Answer one `encrypt` query of a linked device."""
        device, child = sender.device, iq.child("count", "key", "registration")
        if device is None or child is None:
            raise StanzaError("no key query")
        if child.tag == "count":
            return [node("count", value=self._count(device))]
        if child.tag == "key":
            return [node("list", *(self._bundle(user.jid("jid")) for user in child.all("user")))]
        self._store(device, iq)
        return []

    def _count(self, device: Device) -> int:
        held, fresh = len(device.prekeys), self.world.settings.fresh_count
        return fresh if fresh is not None and not held and not device.logins else held

    def _store(self, device: Device, iq: Node) -> None:
        """Take an upload: the one-time keys are added to those left, everything else replaces what was there."""
        signed = iq.need("skey")
        identity = iq.need("identity").data
        if identity != device.identity:
            raise StanzaError("another identity than the device was linked with")
        device.registration = int.from_bytes(iq.need("registration").data)
        device.signed = SignedPrekey(*_prekey(signed), signed.need("signature").data)
        device.prekeys.add(_prekey(key) for key in iq.need("list").all("key"))
        self.world.record("uploaded_keys", device)

    def _bundle(self, jid: JID) -> Node:
        bundle = self.router.bundle(jid)
        if bundle is None:
            return node("user", node("error", code=404, text="item-not-found"), jid=jid)
        return node("user", *_bundle_nodes(bundle), jid=jid)


def _prekey(key: Node) -> Prekey:
    number, public = key.need("id").data, key.need("value").data
    if len(number) != ID_SIZE or len(public) != KEY_SIZE:
        raise StanzaError("a prekey of a wrong size")
    return Prekey(int.from_bytes(number), public)


def _bundle_nodes(bundle: Bundle) -> Iterator[Node]:
    yield node("registration", bundle.registration.to_bytes(REGISTRATION_SIZE))
    yield node("type", KEY_TYPE)
    yield node("identity", bundle.identity)
    if bundle.prekey is not None and bundle.prekey_id is not None:
        yield node("key", *_key_nodes(bundle.prekey_id, bundle.prekey))
    yield node("skey", *_key_nodes(bundle.signed_id, bundle.signed_key), node("signature", bundle.signature))
    if bundle.device_identity is not None:
        yield node("device-identity", bundle.device_identity)


def _key_nodes(number: int, public: bytes) -> tuple[Node, Node]:
    return node("id", number.to_bytes(ID_SIZE)), node("value", public)
