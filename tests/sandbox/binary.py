"""WhatsApp's binary XML: nodes to bytes and back. Pure; the dictionaries are an argument.

Used by the `connection` for every stanza. The writer uses tokens where they save bytes and leaves packing and
compression alone, the reader takes all that the client may write.
"""

import zlib

from tests.sandbox.node import JID, LID, SERVER, Node
from tests.sandbox.tokens import SINGLE, Dictionaries

LIST_EMPTY, LIST_8, LIST_16 = 0, 248, 249
DICTIONARY_0, DICTIONARY_3 = 236, 239
INTEROP_JID, MESSENGER_JID, DEVICE_JID, JID_PAIR = 245, 246, 247, 250
HEX_8, BINARY_8, BINARY_20, BINARY_32, NIBBLE_8 = 251, 252, 253, 254, 255

COMPRESSED = 2  # bit of the first byte of a frame: the rest is zlib
ODD = 0x80  # bit of a packed value's length byte: the last character is padding
MAX_PLAIN = 1 << 25  # bytes after decompression
MAX_DEPTH = 32  # elements within elements; the deepest stanza of the protocol has 8

DOMAINS = {0: SERVER, 1: LID, 128: "hosted", 129: "hosted.lid"}  # domain byte of a device address
DOMAIN_BYTES = {server: number for number, server in DOMAINS.items()}
ALPHABETS = {HEX_8: "0123456789ABCDEF", NIBBLE_8: "0123456789-.\0\0\0\0"}


class BinaryError(ValueError):
    """The peer's bytes are no stanza."""


def encode(node: Node, dictionaries: Dictionaries) -> bytes:
    """One stanza as the plaintext of a frame (with the flag byte, never compressed)."""
    out = bytearray(1)
    _write_node(out, node, dictionaries.codes)
    return bytes(out)


def decode(data: bytes, dictionaries: Dictionaries) -> Node:
    """The stanza in the plaintext of a frame; raises `BinaryError` for anything else."""
    if not data:
        raise BinaryError("an empty frame")
    body = data[1:]
    if data[0] & COMPRESSED:
        body = _inflate(body)
    reader = _Reader(body, dictionaries)
    try:
        node = reader.node(reader.byte(), 0)
    except IndexError:
        raise BinaryError("the stanza ends early") from None
    if reader.at != len(body):
        raise BinaryError("bytes after the stanza")
    return node


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, MAX_PLAIN)
    except zlib.error:
        raise BinaryError("a stanza does not decompress") from None
    if inflater.unconsumed_tail or not inflater.eof:
        raise BinaryError("a compressed stanza is too long or cut")
    return plain


def _write_node(out: bytearray, node: Node, codes: dict[str, bytes]) -> None:
    attrs = [(name, value) for name, value in node.attrs.items() if value]
    _write_list(out, 1 + 2 * len(attrs) + (node.content is not None))
    _write_text(out, node.tag, codes)
    for name, value in attrs:
        _write_text(out, name, codes)
        if isinstance(value, JID):
            _write_jid(out, value, codes)
        else:
            _write_text(out, value, codes)
    if isinstance(node.content, bytes):
        _write_bytes(out, node.content)
    elif node.content is not None:
        _write_list(out, len(node.content))
        for child in node.content:
            _write_node(out, child, codes)


def _write_list(out: bytearray, size: int) -> None:
    if size < 1 << 8:
        out += bytes((LIST_8, size))
    elif size < 1 << 16:
        out.append(LIST_16)
        out += size.to_bytes(2)
    else:
        raise ValueError("a list has less than 65536 entries")


def _write_text(out: bytearray, text: str, codes: dict[str, bytes]) -> None:
    code = codes.get(text)
    if code is None:
        _write_bytes(out, text.encode())
    else:
        out += code


def _write_bytes(out: bytearray, data: bytes) -> None:
    size = len(data)
    if size < 1 << 8:
        out += bytes((BINARY_8, size))
    elif size < 1 << 20:
        out.append(BINARY_20)
        out += size.to_bytes(3)
    else:
        out.append(BINARY_32)
        out += size.to_bytes(4)
    out += data


def _write_jid(out: bytearray, jid: JID, codes: dict[str, bytes]) -> None:
    if jid.device:
        out += bytes((DEVICE_JID, DOMAIN_BYTES[jid.server], jid.device))
        _write_text(out, jid.user, codes)
        return
    out.append(JID_PAIR)
    if jid.user:
        _write_text(out, jid.user, codes)
    else:
        out.append(LIST_EMPTY)
    _write_text(out, jid.server, codes)


class _Reader:
    """A cursor over one stanza's bytes; runs off its end with IndexError."""

    def __init__(self, data: bytes, dictionaries: Dictionaries) -> None:
        self.data, self.at = data, 0
        self.single, self.double = dictionaries.single, dictionaries.double

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise IndexError
        self.at += size
        return self.data[self.at - size : self.at]

    def node(self, kind: int, depth: int) -> Node:
        size = self.list_size(kind)
        if size == 0 or depth > MAX_DEPTH:
            raise BinaryError("an element without a tag, or nested too deep")
        tag = self.text(self.byte())
        attrs: dict[str, str | JID] = {}
        for _ in range((size - 1) // 2):
            name = self.text(self.byte())
            attrs[name] = self.value(self.byte())
        return Node(tag, attrs, None if size % 2 else self.content(depth))

    def content(self, depth: int) -> list[Node] | bytes | None:
        kind = self.byte()
        if kind in {LIST_8, LIST_16}:
            return [self.node(self.byte(), depth + 1) for _ in range(self.list_size(kind))]
        if kind == LIST_EMPTY:
            return None
        if BINARY_8 <= kind <= BINARY_32:
            return self.binary(kind)
        return str(self.value(kind)).encode()

    def list_size(self, kind: int) -> int:
        if kind == LIST_8:
            return self.byte()
        if kind == LIST_16:
            return int.from_bytes(self.take(2))
        if kind == LIST_EMPTY:
            return 0
        raise BinaryError("not a list")

    def text(self, kind: int) -> str:
        value = self.value(kind)
        if isinstance(value, JID):
            raise BinaryError("an address where a name belongs")
        return value

    def value(self, kind: int) -> str | JID:
        if kind < SINGLE:
            return self.single[kind]
        if DICTIONARY_0 <= kind <= DICTIONARY_3:
            return self.double[kind - DICTIONARY_0][self.byte()]
        if BINARY_8 <= kind <= BINARY_32:
            return self.binary(kind).decode(errors="replace")
        if kind in ALPHABETS:
            return self.packed(ALPHABETS[kind])
        if kind == JID_PAIR:
            user = self.text(self.byte())
            return JID(user, self.text(self.byte()))
        if kind == DEVICE_JID:
            domain, device = self.byte(), self.byte()
            if domain not in DOMAINS:
                raise BinaryError("an address of an unknown domain")
            return JID(self.text(self.byte()), DOMAINS[domain], device)
        raise BinaryError(f"a value of an unknown kind: {kind}")

    def binary(self, kind: int) -> bytes:
        width = {BINARY_8: 1, BINARY_20: 3, BINARY_32: 4}[kind]
        return self.take(int.from_bytes(self.take(width)) & ((1 << 20) - 1 if width == 3 else -1))

    def packed(self, alphabet: str) -> str:
        head = self.byte()
        halves = [alphabet[half] for byte in self.take(head & ~ODD) for half in (byte >> 4, byte & 15)]
        text = "".join(halves[:-1] if head & ODD else halves)
        if "\0" in text:
            raise BinaryError("a packed character outside the alphabet")
        return text
