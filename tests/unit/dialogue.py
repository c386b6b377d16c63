"""A conversation through the features: WhatsApp's events on one side, stanzas on the other, a journal of dictionaries.

`hears` and `says` give canonical XML, so that tests write literals and compare text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape, quoteattr

from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Context, Intent, Keep, Live, MarkRead, Reply
from ponton_bridge.model.address import Address
from ponton_bridge.model.books import Pair
from ponton_bridge.model.xml import CLIENT
from ponton_bridge.whatsapp import port

OWNER = "alice@example.test"
DOMAIN = "wa.example.test"
NOW = 1_795_000_000  # 2026-11-18T11:06:40Z
ANA = Address(number="447700900123", lid="1001")
BOB = Address(number="447700900124", lid="1002")
HIDDEN = Address(lid="5005")
FAMILY = Address(group="120363001122334455")
ME = Address(number="447700900001", lid="9009")


class Books:
    """The journal's books as dictionaries: IdBook, ContactBook and Keeper."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.read: set[tuple[str, str]] = set()
        self.people: dict[str, tuple[Address, str, str]] = {}
        self.known: list[Address] = []
        self.settings: dict[str, str] = {}

    def by_whatsapp(self, chat: str, whatsapp: str) -> Pair | None:
        """Find the newest pair of that WhatsApp id."""
        return next((p for p in reversed(self.pairs) if (p.chat, p.whatsapp) == (chat, whatsapp)), None)

    def by_xmpp(self, chat: str, xmpp: str) -> Pair | None:
        """Find the newest pair of that stanza id."""
        return next((p for p in reversed(self.pairs) if (p.chat, p.xmpp) == (chat, xmpp)), None)

    def unread_until(self, chat: str, xmpp: str) -> list[Pair]:
        """Give what others wrote up to there and is not marked read."""
        here = [p for p in self.pairs if p.chat == chat]
        ids = [p.xmpp for p in here]
        if xmpp not in ids:
            return []
        upto = here[: ids.index(xmpp) + 1]
        return [p for p in upto if not p.from_me and (chat, p.whatsapp) not in self.read][:1000]

    def complete(self, address: Address) -> Address:
        """Add what was learned about an address."""
        if address.group:
            return address
        for known in reversed(self.known):
            if (address.number and address.number == known.number) or (address.lid and address.lid == known.lid):
                return known
        return address

    def name(self, address: Address) -> str:
        """Give the address book's name, else the push name."""
        _, name, push = self.contact(address) or (address, "", "")
        return name or push

    def contacts(self) -> Iterable[tuple[Address, str, str]]:
        """Give everybody saved, as known now."""
        return [(self.complete(who), name, push) for who, name, push in self.people.values()]

    def contact(self, address: Address) -> tuple[Address, str, str] | None:
        """Give one of them."""
        key = self.complete(address).key
        return next((each for each in self.contacts() if each[0].key == key), None)

    def learn(self, address: Address) -> None:
        """Join number and LID: pairs and contacts under either move."""
        old = {Address(number=address.number).key, Address(lid=address.lid).key}
        self.known.append(address)
        self.pairs = [replace(p, chat=address.key) if p.chat in old else p for p in self.pairs]
        for key in old & set(self.people):
            self.people[address.key] = self.people.pop(key)

    def get(self, key: str, default: str = "") -> str:
        """Give a setting."""
        return self.settings.get(key, default)

    def set(self, key: str, value: str) -> None:
        """Keep a setting."""
        self.settings[key] = value

    def save_contact(self, address: Address, name: str, push_name: str) -> None:
        """Save or change."""
        self.people[self.complete(address).key] = (address, name, push_name)

    def forget_contact(self, address: Address) -> None:
        """Forget; it must be there."""
        self.people.pop(self.complete(address).key)

    def remember(self, pair: Pair) -> None:
        """Keep a pair."""
        self.pairs.append(pair)

    def mark_read(self, pairs: Sequence[Pair]) -> None:
        """Mark as read."""
        self.read |= {(p.chat, p.whatsapp) for p in pairs}


def parse(text: str) -> Element:
    """Read a stanza that is written without its namespace."""
    return fromstring(f"<x xmlns='jabber:client'>{text}</x>")[0]  # noqa: S314 - the test's own literals


def xml(stanza: str | Element) -> str:
    """Give the one way to write a tree: default namespaces, sorted attributes, no white space between elements."""
    return _written(parse(stanza) if isinstance(stanza, str) else stanza, CLIENT)


def _written(node: Element, outer: str) -> str:
    ns, _, name = node.tag.rpartition("}")
    ns = ns.removeprefix("{")
    attributes = {key.replace("{http://www.w3.org/XML/1998/namespace}", "xml:"): v for key, v in node.attrib.items()}
    space = {} if ns == outer else {"xmlns": ns}
    head = "".join(f" {key}={quoteattr(v)}" for key, v in (space | dict(sorted(attributes.items()))).items())
    text = node.text or ""
    inner = escape(text if text.strip() else "") + "".join(_written(child, ns) for child in node)
    return f"<{name}{head}>{inner}</{name}>"


def elements(stanza: str) -> list[str]:
    """Give all elements of a stanza, each written by itself."""
    return [xml(each) for each in parse(stanza).iter()]


@dataclass
class Dialogue:
    """Both ends of the features, with ids r1, r2 … for what has none of its own."""

    books: Books = field(default_factory=Books)
    now: int = NOW
    live: Live = field(default_factory=Live)
    numbers: Iterable[int] = field(default_factory=lambda: count(1))

    @property
    def context(self) -> Context:
        """A context of this moment."""
        numbers = iter(self.numbers)
        return Context(OWNER, DOMAIN, self.now, self.books, self.books, lambda: f"r{next(numbers)}", self.live)

    def knows(self, *people: Address, name: str = "") -> "Dialogue":
        """Make people known, as contacts whose roster entries were pushed before."""
        for who in people:
            self.books.known.append(who)
            self.books.save_contact(who, name, "")
        return self

    def hears(self, event: port.Event) -> list[str]:
        """Let WhatsApp say something; give all stanzas that it becomes, durable ones first."""
        done = pipeline.from_whatsapp(event, self.context)
        pipeline.keep(done, self.books)
        return [xml(stanza) for stanza in (*done.durable, *done.transient)]

    def says(self, stanza: str) -> list[Intent | str]:
        """Let the owner send a stanza; give the intents, replies as XML; contacts and read marks are kept."""
        given: list[Intent | str] = []
        for intent in pipeline.from_xmpp(parse(stanza), self.context):
            if isinstance(intent, Keep):
                self.books.save_contact(*intent.contact)
            if isinstance(intent, MarkRead):
                self.books.mark_read(intent.pairs)
            given.append(xml(intent.element) if isinstance(intent, Reply) else intent)
        return given

    def sends(self, stanza: str, whatsapp_id: str) -> None:
        """Let WhatsApp take a message of the owner under this id."""
        done = pipeline.sent(parse(stanza), port.Sent(whatsapp_id, self.now), self.context)
        pipeline.keep(done, self.books)


def from_ana(id_: str, content: port.Content, **more: object) -> port.Message:
    """A message of Ana's in her own chat, written now."""
    given: dict[str, object] = {"id": id_, "chat": ANA, "sender": ANA, "content": content, "time": NOW, **more}
    return port.Message(**given)  # type: ignore[arg-type]  # a test's shorthand


def told(sender: str, body: str, id_: str, *more: str) -> str:
    """The message that a line becomes."""
    return xml(
        f"<message type='chat' from='{sender}/whatsapp' to='{OWNER}' id='{id_}'><body>{body}</body>{''.join(more)}"
        "</message>"
    )


MARKABLE = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
REQUEST = "<request xmlns='urn:xmpp:receipts'/>"
