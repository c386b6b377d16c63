"""App state: the settings that an account's devices share as encrypted, authenticated patches.

A phone keeps a `Replica` of each collection, writes patches for its own changes and reads those of companions.
Pure: randomness is an argument. Layouts: facts of the measured client (whatsmeow's appstate package reads and
writes exactly these); all names are WhatsApp's own.
"""

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from google.protobuf.message import DecodeError

from tests.sandbox.phones import lthash
from tests.sandbox.proto import wa_server_sync, wa_sync_action
from tests.sandbox.signal.kdf import Random, hkdf

COLLECTIONS = ("critical_block", "critical_unblock_low", "regular_high", "regular", "regular_low")

MAC_SIZE = 32  # bytes of every MAC here
IV_SIZE = 16
KEY_ID_SIZE = 6
KEY_DATA_SIZE = 32

_PADDING = PKCS7(128)


class AppStateError(Exception):
    """A patch of a companion cannot be right: a MAC, an index or the bytes themselves are wrong."""


@dataclass(frozen=True, slots=True)
class MutationKeys:
    """What a sync key is expanded into, 32 bytes each."""

    index: bytes
    value: bytes
    value_mac: bytes
    snapshot: bytes
    patch: bytes


class SyncKey(NamedTuple):
    """A key that the phone shares with its companions; `timestamp` in milliseconds."""

    id: bytes
    data: bytes
    timestamp: int

    @classmethod
    def generate(cls, random: Random, now: float) -> Self:
        """A new key; `now` in seconds. The id's first bytes stay 0, so that it sorts as a small number."""
        return cls(bytes(2) + random(KEY_ID_SIZE - 2), random(KEY_DATA_SIZE), int(now * 1000))

    def expand(self) -> MutationKeys:
        """The five keys that mutations and patches are made with."""
        derived = hkdf(self.data, b"WhatsApp Mutation Keys", 5 * MAC_SIZE)
        return MutationKeys(*(derived[at : at + MAC_SIZE] for at in range(0, 5 * MAC_SIZE, MAC_SIZE)))


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change: `index` names the entry, such as ("contact", "336..@s.whatsapp.net").

    `value` is a SyncActionValue; `version` is that of the action's form (contacts 2, most others 1 or 2).
    """

    index: tuple[str, ...]
    value: wa_sync_action.SyncActionValue
    version: int
    removed: bool = False


class Entry(NamedTuple):
    """What a replica knows of an entry: the MAC it counts with, and the change that made it."""

    value_mac: bytes
    mutation: Mutation


@dataclass(frozen=True, slots=True)
class Replica:
    """A collection as this device sees it; every change gives a new one."""

    name: str
    version: int = 0
    hash: bytes = lthash.EMPTY
    entries: Mapping[bytes, Entry] = field(default_factory=dict)  # by index MAC

    def value(self, *index: str) -> wa_sync_action.SyncActionValue | None:
        """The present value of an entry, or None."""
        found = (e.mutation.value for e in self.entries.values() if e.mutation.index == index)
        return next(found, None)

    def write(self, mutations: Sequence[Mutation], key: SyncKey, random: Random) -> tuple[bytes, "Replica"]:
        """The patch that makes these changes, and the replica after it."""
        keys = key.expand()
        written = [(m, *_seal(m, key.id, keys, random)) for m in mutations]
        after = self._after((index_mac, Entry(blob[-MAC_SIZE:], m)) for m, index_mac, blob in written)
        snapshot_mac = _snapshot_mac(keys, after)
        patch = wa_server_sync.SyncdPatch(
            snapshotMAC=snapshot_mac,
            patchMAC=_patch_mac(keys, snapshot_mac, [blob[-MAC_SIZE:] for _, _, blob in written], after),
            keyID={"ID": key.id},
            deviceIndex=0,
            mutations=[
                {
                    "operation": _operation(m.removed),
                    "record": {
                        "index": {"blob": index_mac},
                        "value": {"blob": blob},
                        "keyID": {"ID": key.id},
                    },
                }
                for m, index_mac, blob in written
            ],
        )
        return patch.SerializeToString(), after

    def read(self, patch_bytes: bytes, keys_by_id: Mapping[bytes, MutationKeys]) -> tuple[list[Mutation], "Replica"]:
        """The changes of a companion's patch, and the replica after it; raises AppStateError."""
        try:
            patch = wa_server_sync.SyncdPatch.FromString(patch_bytes)
        except DecodeError as error:
            raise AppStateError("not a patch") from error
        opened = [_unseal(m, keys_by_id) for m in patch.mutations]
        after = self._after(opened)
        keys = _keys(keys_by_id, patch.keyID.ID)
        if not hmac.compare_digest(patch.snapshotMAC, _snapshot_mac(keys, after)):
            raise AppStateError("the snapshot MAC is wrong: the two devices do not hold the same entries")
        value_macs = [entry.value_mac for _, entry in opened]
        if not hmac.compare_digest(patch.patchMAC, _patch_mac(keys, patch.snapshotMAC, value_macs, after)):
            raise AppStateError("the patch MAC is wrong")
        return [entry.mutation for _, entry in opened], after

    def _after(self, changes: Iterable[tuple[bytes, Entry]]) -> "Replica":
        entries, added, removed = dict(self.entries), [], []
        for index_mac, entry in changes:
            if (old := entries.pop(index_mac, None)) is not None:
                removed.append(old.value_mac)
            if not entry.mutation.removed:
                entries[index_mac] = entry
                added.append(entry.value_mac)
        summed = lthash.update(self.hash, added, removed)
        return replace(self, version=self.version + 1, hash=summed, entries=entries)


def _operation(removed: bool) -> int:  # noqa: FBT001 - one private caller each way
    operation: int = wa_server_sync.SyncdMutation.REMOVE if removed else wa_server_sync.SyncdMutation.SET
    return operation


def _keys(keys_by_id: Mapping[bytes, MutationKeys], key_id: bytes) -> MutationKeys:
    if (keys := keys_by_id.get(key_id)) is None:
        raise AppStateError("written with a key that the phone never shared")
    return keys


def _seal(mutation: Mutation, key_id: bytes, keys: MutationKeys, random: Random) -> tuple[bytes, bytes]:
    """Index MAC and value blob (IV, ciphertext, value MAC) of a change."""
    index = json.dumps(mutation.index, separators=(",", ":"), ensure_ascii=False).encode()
    action = wa_sync_action.SyncActionData(index=index, value=mutation.value, padding=b"", version=mutation.version)
    padder, iv = _PADDING.padder(), random(IV_SIZE)
    encryptor = Cipher(algorithms.AES256(keys.value), modes.CBC(iv)).encryptor()
    padded = padder.update(action.SerializeToString()) + padder.finalize()
    content = iv + encryptor.update(padded) + encryptor.finalize()
    value_mac = _value_mac(keys, _operation(mutation.removed), key_id, content)
    return hmac.digest(keys.index, index, "sha256"), content + value_mac


def _unseal(mutation: wa_server_sync.SyncdMutation, keys_by_id: Mapping[bytes, MutationKeys]) -> tuple[bytes, Entry]:
    record, operation = mutation.record, mutation.operation
    keys = _keys(keys_by_id, record.keyID.ID)
    blob = record.value.blob
    content, value_mac = blob[:-MAC_SIZE], blob[-MAC_SIZE:]
    if not hmac.compare_digest(value_mac, _value_mac(keys, operation, record.keyID.ID, content)):
        raise AppStateError("a value MAC is wrong")
    decryptor = Cipher(algorithms.AES256(keys.value), modes.CBC(content[:IV_SIZE])).decryptor()
    unpadder = _PADDING.unpadder()
    try:
        padded = decryptor.update(content[IV_SIZE:]) + decryptor.finalize()
        action = wa_sync_action.SyncActionData.FromString(unpadder.update(padded) + unpadder.finalize())
        index = tuple(json.loads(action.index))
    except (ValueError, DecodeError) as error:
        raise AppStateError("a value is no action") from error
    if not hmac.compare_digest(record.index.blob, hmac.digest(keys.index, action.index, "sha256")):
        raise AppStateError("an index MAC is wrong")
    removed = operation == wa_server_sync.SyncdMutation.REMOVE
    return record.index.blob, Entry(value_mac, Mutation(index, action.value, action.version, removed=removed))


def _value_mac(keys: MutationKeys, operation: int, key_id: bytes, content: bytes) -> bytes:
    associated = bytes([operation + 1]) + key_id  # SET is signed as 1, REMOVE as 2
    length = len(associated).to_bytes(8, "big")
    return hmac.digest(keys.value_mac, associated + content + length, "sha512")[:MAC_SIZE]


def _snapshot_mac(keys: MutationKeys, replica: Replica) -> bytes:
    covered = replica.hash + replica.version.to_bytes(8, "big") + replica.name.encode()
    return hmac.digest(keys.snapshot, covered, "sha256")


def _patch_mac(keys: MutationKeys, snapshot_mac: bytes, value_macs: Iterable[bytes], replica: Replica) -> bytes:
    covered = snapshot_mac + b"".join(value_macs) + replica.version.to_bytes(8, "big") + replica.name.encode()
    return hmac.digest(keys.patch, covered, "sha256")


def push_name(name: str) -> tuple[str, Mutation]:
    """The collection and change that tell the companions the account's push name."""
    value = wa_sync_action.SyncActionValue(pushNameSetting={"name": name})
    return "critical_block", Mutation(("setting_pushName",), value, 1)


def contact(pn: str, lid: str, full_name: str) -> tuple[str, Mutation]:
    """The collection and change that put a contact into the address book; `pn` and `lid` as JID texts."""
    action = {"fullName": full_name, "firstName": full_name.split(" ", 1)[0], "lidJID": lid}
    value = wa_sync_action.SyncActionValue(contactAction=action)
    return "critical_unblock_low", Mutation(("contact", pn), value, 2)
