"""What every feature is given (Context) and what it gives back (Rendered, intents).

Values only. The shard makes one Context per event inside the journal's transaction, carries out the intents,
and writes what a Rendered holds with `pipeline.keep`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from xml.etree.ElementTree import Element

from ponton_bridge.model.address import Address, Kind, from_localpart
from ponton_bridge.model.books import AddressBook, IdBook, Pair
from ponton_bridge.whatsapp import port

RESOURCE = "whatsapp"  # every contact speaks from this one resource, so that its caps (XEP-0115) bind
KNOWN_PRESENCES = 1000  # contacts whose presence is remembered in memory


class ContactBook(AddressBook, Protocol):
    """The address book with its list; the journal keeps it."""

    def contacts(self) -> Iterable[tuple[Address, str, str]]:
        """Give those who are in the roster: address, name in the phone's address book or '', push name or ''."""

    def contact(self, address: Address) -> tuple[Address, str, str] | None:
        """Give one of them, None for a stranger."""

    def learn(self, address: Address) -> None:
        """Remember that number and LID are one person; what is stored under either is found by both from now on."""

    def get(self, key: str, default: str = "") -> str:
        """Give a setting: here the name of a group, under `group_key`."""


class Keeper(Protocol):
    """The writing half of the journal, as far as `pipeline.keep` needs it."""

    def save_contact(self, address: Address, name: str, push_name: str) -> None:
        """Put into the list of contacts, or change."""

    def forget_contact(self, address: Address) -> None:
        """Take out of the list of contacts."""

    def set(self, key: str, value: str) -> None:
        """Keep a setting."""

    def remember(self, pair: Pair) -> None:
        """Store both ids of a message."""

    def mark_read(self, pairs: Sequence[Pair]) -> None:
        """Note that these were read, so that they are not marked again."""


@dataclass(slots=True)
class Live:
    """What is true only while the process runs: who was last seen how, and which of the owner's clients are there."""

    presences: dict[str, port.Presence] = field(default_factory=dict)
    clients: dict[str, bool] = field(default_factory=dict)  # full JID -> in front of the screen

    @property
    def available(self) -> bool:
        """Tell whether the owner is to be shown as online at WhatsApp."""
        return any(self.clients.values())

    def saw(self, key: str, presence: port.Presence) -> None:
        """Remember the newest presence of a contact, and forget the one unchanged for longest when there are many."""
        self.presences.pop(key, None)
        self.presences[key] = presence
        if len(self.presences) > KNOWN_PRESENCES:
            del self.presences[next(iter(self.presences))]


@dataclass(frozen=True, slots=True)
class Context:
    """Owner's bare JID, gateway domain, seconds since 1970, the books, a source of stanza ids, and the live state."""

    owner: str
    domain: str
    now: int
    ids: IdBook
    book: ContactBook
    fresh_id: Callable[[], str]
    live: Live = field(default_factory=Live)

    def bare(self, address: Address) -> str:
        """Give the bare JID that stands for an address.

        >>> context.bare(Address(number="447700900123"))  # doctest: +SKIP
        '+447700900123@whatsapp.example.org'
        """
        return f"{self.book.complete(address).localpart()}@{self.domain}"

    def full(self, address: Address) -> str:
        """Give the full JID from which a contact speaks."""
        return f"{self.bare(address)}/{RESOURCE}"

    def key(self, address: Address) -> str:
        """Give the key under which the journal knows an address."""
        return self.book.complete(address).key

    def address(self, jid: str) -> Address:
        """Read a JID of the gateway's domain; OwnerError when it stands for nobody."""
        return self.book.complete(from_localpart(localpart(jid)))

    def name(self, address: Address, push_name: str = "") -> str:
        """Give a name to show: from the books, else as they call themselves, else the number or LID."""
        if address.kind is Kind.GROUP:
            return self.book.get(group_key(address))
        return self.book.name(address) or push_name or self.book.complete(address).localpart()


def group_key(group: Address) -> str:
    """Give the journal's setting that holds the name of a group."""
    return f"group:{group.group}"


def localpart(jid: str) -> str:
    """Give the localpart of a JID, '' when it has none."""
    bare = jid.partition("/")[0]
    return bare.rpartition("@")[0]


def bare(jid: str) -> str:
    """Cut the resource off a JID."""
    return jid.partition("/")[0]


@dataclass(slots=True)
class Rendered:
    """What an event becomes.

    `durable` stanzas are journaled and numbered; `transient` ones are written if the stream is open, else dropped.
    The rest is for the journal: id pairs, pairs read elsewhere, contacts (address, name, push name) to save and
    to forget, settings (names of groups).
    """

    durable: list[Element] = field(default_factory=list)
    transient: list[Element] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    read: list[Pair] = field(default_factory=list)
    saved: list[tuple[Address, str, str]] = field(default_factory=list)
    forgotten: list[Address] = field(default_factory=list)
    settings: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: "Rendered") -> None:
        """Append what another feature made of the same event."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))


# ---- intents: what a stanza of the owner asks for -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send to WhatsApp; `xmpp_id` is the stanza's id ('' if it had none)."""

    chat: Address
    content: port.Content
    xmpp_id: str


@dataclass(frozen=True, slots=True)
class MarkRead:
    """Tell `sender` that `ids` of `chat` were read; then mark `pairs` in the journal."""

    chat: Address
    sender: Address
    ids: tuple[str, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class SetTyping:
    """Show the owner as writing, or not."""

    chat: Address
    state: port.TypingState


@dataclass(frozen=True, slots=True)
class SetPresence:
    """Show the owner as there, or not."""

    available: bool


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask for a contact's presence: once per connection and contact is enough."""

    who: Address


@dataclass(frozen=True, slots=True)
class Reply:
    """Give this stanza to the owner; durable ones go through the journal."""

    element: Element
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Save a contact whom the owner added: address, name, push name."""

    contact: tuple[Address, str, str]


Intent = Send | MarkRead | SetTyping | SetPresence | Subscribe | Reply | Keep
