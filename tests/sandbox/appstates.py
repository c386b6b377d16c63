"""App state on the server: collections of opaque patches with versions.

What is inside a patch is the phones' and clients' business. Called by the `router` for the phones and by the
`queries` for linked devices.
"""

from google.protobuf.message import DecodeError

from tests.sandbox.delivery import Delivery
from tests.sandbox.node import SERVER_JID, Node, StanzaError, node
from tests.sandbox.proto import wa_server_sync
from tests.sandbox.world import Account, Collection, Sender

COLLECTIONS = ("critical_block", "critical_unblock_low", "regular_high", "regular", "regular_low")
CONFLICT = 409  # a patch on an old version


class AppStates:
    """The app state of every account in one world."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery

    def append(self, account: Account, name: str, base: int, patch: bytes, by: int) -> int | None:
        """Store a patch made on version `base` by device `by`; the new version, or None if `base` is not current.

        The account's other devices are told, the phone by a call of its own. Raises `StanzaError` for bytes
        that are no patch and for an unknown collection.
        """
        held = self._collection(account, name)
        if base != held.version:
            return None
        held.patches.append(_numbered(patch, base + 1))
        held.version = base + 1
        news = node("collection", name=name, version=held.version)
        for number in account.devices:
            if number != by:
                told = self.delivery.notification("server_sync", SERVER_JID, news)
                self.delivery.to_device(account.lid.of_device(number), told)
        if by and account.phone is not None:
            account.phone.app_state_changed(name, held.version, held.patches[-1])
        return held.version

    def query(self, sender: Sender, iq: Node) -> list[Node]:
        """Answer `<sync>`: what a device lacks of each collection, after storing what it brings."""
        return [node("sync", *(self._sync(sender, asked) for asked in iq.need("sync").all("collection")))]

    def _sync(self, sender: Sender, asked: Node) -> Node:
        name, base = asked.get("name"), asked.number("version", 0)
        held = self._collection(sender.account, name)
        brought = _brought(asked)
        if brought is None:
            return node("collection", *_patches(held, base), name=name, version=held.version)
        if self.append(sender.account, name, base, brought, sender.number) is None:
            conflict = node("error", code=CONFLICT, text="conflict")
            missing = _patches(held, base)
            return node("collection", conflict, *missing, name=name, type="error", version=held.version)
        return node("collection", name=name, version=held.version)

    @staticmethod
    def _collection(account: Account, name: str) -> Collection:
        if name not in COLLECTIONS:
            raise StanzaError(f"no app-state collection is named {name!r}")
        return account.collections.setdefault(name, Collection())


def _brought(asked: Node) -> bytes | None:
    """The patch that a device brings: a direct child, or one in `<patches>`."""
    patch = asked.child("patch") or (asked.child("patches") or asked).child("patch")
    return None if patch is None else patch.data


def _patches(held: Collection, base: int) -> list[Node]:
    newer = held.patches[base:]
    return [node("patches", *(node("patch", patch) for patch in newer))] if newer else []


def _numbered(patch: bytes, version: int) -> bytes:
    """The patch with the version that the server gave it, which clients leave out."""
    try:
        parsed = wa_server_sync.SyncdPatch.FromString(patch)
    except DecodeError:
        raise StanzaError("not an app-state patch") from None
    parsed.version.version = version
    stored: bytes = parsed.SerializeToString()
    return stored
