"""The summation hash of app-state collections: order does not matter, and an entry can be taken out again.

Called by `appstate`. Pure.
"""

from collections.abc import Iterable

from tests.sandbox.signal.kdf import hkdf

HASH_SIZE = 128  # bytes: 64 little-endian 16-bit counters
EMPTY = bytes(HASH_SIZE)

_WORDS = HASH_SIZE // 2
_MASK = 0xFFFF


def _expand(value_mac: bytes) -> list[int]:
    return _words(hkdf(value_mac, b"WhatsApp Patch Integrity", HASH_SIZE))


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "little") for at in range(0, HASH_SIZE, 2)]


def update(current: bytes, added: Iterable[bytes], removed: Iterable[bytes]) -> bytes:
    """The hash after entries with these value MACs came and went; overflow wraps around."""
    sums = _words(current)
    for sign, macs in ((1, added), (-1, removed)):
        for mac in macs:
            sums = [(have + sign * word) & _MASK for have, word in zip(sums, _expand(mac), strict=True)]
    return b"".join(word.to_bytes(2, "little") for word in sums)
