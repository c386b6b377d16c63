"""Addresses and stanzas of WhatsApp's protocol as plain values.

`JID` and `Node` are what every part of the sandbox passes around: the codec (`binary`) makes them from bytes,
the router and the phones read and build them. Nothing here does I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

SERVER = "s.whatsapp.net"  # phone-number addresses, and (with an empty user) the server itself
LID = "lid"  # WhatsApp's own opaque user ids
GROUP = "g.us"


class StanzaError(ValueError):
    """A peer sent a stanza that lacks what its kind requires; the peer has to act."""


class QueryError(Exception):
    """A query that cannot be answered; `code` is what the asker is told."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class JID(NamedTuple):
    """An address `user:device@server`; device 0 is the phone and is written without a device.

    >>> JID.parse("33612:7@s.whatsapp.net")
    JID(user='33612', server='s.whatsapp.net', device=7)
    """

    user: str
    server: str
    device: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the textual form; raises `StanzaError` for anything that is not an address."""
        local, at, server = text.rpartition("@")
        user, colon, device = local.partition(":")
        if not server or (at and not user) or (colon and not device.isdecimal()):
            raise StanzaError(f"not an address: {text!r}")
        return cls(user.split(".", 1)[0] if at else "", server, int(device or 0))

    def __str__(self) -> str:
        if not self.user:
            return self.server
        return f"{self.user}:{self.device}@{self.server}" if self.device else f"{self.user}@{self.server}"

    @property
    def bare(self) -> "JID":
        """The account's address, without a device."""
        return self.of_device(0)

    def of_device(self, device: int) -> "JID":
        """The same user's address with another device number."""
        return self if device == self.device else JID(self.user, self.server, device)

    @property
    def hashed(self) -> str:
        """The form `user.0:device@server` that participant and device hashes are made of."""
        return f"{self.user}.0:{self.device}@{self.server}"


SERVER_JID = JID("", SERVER)

Attrs = dict[str, str | JID]
Given = dict[str, str | int | JID | None]  # attributes as `node` takes them


@dataclass(slots=True)
class Node:
    """One stanza or element: tag, attributes, and either children, bytes or nothing.

    Attributes that are addresses stay `JID` values, because the client ignores addresses sent as text.
    """

    tag: str
    attrs: Attrs = field(default_factory=dict)
    content: "list[Node] | bytes | None" = None

    @property
    def children(self) -> "list[Node]":
        """The child elements; empty where the content is bytes or missing."""
        return self.content if isinstance(self.content, list) else []

    @property
    def data(self) -> bytes:
        """The content as bytes; empty where there is none."""
        return self.content if isinstance(self.content, bytes) else b""

    @property
    def text(self) -> str:
        """The content as text."""
        return self.data.decode(errors="replace")

    def child(self, *tags: str) -> "Node | None":
        """The first child with one of these tags (any child without tags), or None."""
        return next((c for c in self.children if not tags or c.tag in tags), None)

    def all(self, tag: str) -> "Iterator[Node]":
        """The children with this tag, in order."""
        return (c for c in self.children if c.tag == tag)

    def need(self, tag: str) -> "Node":
        """The first child with this tag; raises `StanzaError` without one."""
        if (found := self.child(tag)) is None:
            raise StanzaError(f"<{self.tag}> without <{tag}>")
        return found

    def get(self, name: str, default: str = "") -> str:
        """An attribute as text."""
        value = self.attrs.get(name)
        return default if value is None else str(value)

    def jid(self, name: str) -> JID:
        """An attribute as an address; raises `StanzaError` if it is missing or none."""
        value = self.attrs.get(name)
        if value is None:
            raise StanzaError(f"<{self.tag}> without {name}")
        return value if isinstance(value, JID) else JID.parse(value)

    def number(self, name: str, default: int | None = None) -> int:
        """An attribute as a decimal number; raises `StanzaError` if it is missing (without default) or none."""
        value = self.get(name)
        if not value and default is not None:
            return default
        if not value.isdecimal():
            raise StanzaError(f"<{self.tag}> {name} is not a number")
        return int(value)

    def with_attrs(self, **attrs: str | JID | None) -> "Node":
        """A copy with these attributes set (or, with None, removed); the content is shared, not copied.

        A trailing underscore is dropped from names, so that `from_` sets `from`.
        """
        merged = dict(self.attrs)
        for name, value in attrs.items():
            key = name.removesuffix("_")
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        return Node(self.tag, merged, self.content)

    def __str__(self) -> str:
        """An XML-like rendering for traces and failed assertions; bytes are shown as their length."""
        attrs = "".join(f" {k}={v}" for k, v in self.attrs.items())
        if isinstance(self.content, list):
            return f"<{self.tag}{attrs}>{''.join(map(str, self.content))}</{self.tag}>"
        return f"<{self.tag}{attrs}>[{len(self.content)}]</>" if self.content else f"<{self.tag}{attrs}/>"


def node(tag: str, *content: Node | bytes, **attrs: str | int | JID | None) -> Node:
    """Build a node in one line: children or one bytes value, attributes as keywords (`from_` means `from`).

    Attributes that are None or empty are left out, as the wire does.

    >>> str(node("ack", id="1", class_="receipt"))
    '<ack id=1 class=receipt/>'
    """
    kept: Attrs = {
        name.removesuffix("_"): value if isinstance(value, JID) else str(value)
        for name, value in attrs.items()
        if value is not None and value != ""
    }
    if len(content) == 1 and isinstance(content[0], bytes):
        return Node(tag, kept, content[0])
    children = [c for c in content if isinstance(c, Node)]
    if len(children) != len(content):
        raise TypeError("a node holds either children or one bytes value")
    return Node(tag, kept, children or None)
