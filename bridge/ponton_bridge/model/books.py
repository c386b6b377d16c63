"""What features look up while they work: id pairs and addresses. The store keeps both; tests use dictionaries."""

from dataclasses import dataclass
from typing import Protocol

from ponton_bridge.model.address import Address


@dataclass(frozen=True, slots=True)
class Pair:
    """One message under both its names.

    `chat` and `sender` are `Address.key`s; `from_me` tells the owner's own messages; `time` in seconds since 1970.
    """

    chat: str
    whatsapp: str
    xmpp: str
    sender: str
    from_me: bool
    time: int


class IdBook(Protocol):
    """Which message is which, both ways; survives restarts, bounded in age."""

    def by_whatsapp(self, chat: str, whatsapp: str) -> Pair | None:
        """Find by WhatsApp's id."""

    def by_xmpp(self, chat: str, xmpp: str) -> Pair | None:
        """Find by the id that XMPP clients know."""

    def unread_until(self, chat: str, xmpp: str) -> list[Pair]:
        """Messages from others up to and with that one that were not marked read yet, oldest first, at most 1,000."""


class AddressBook(Protocol):
    """Who is who: number and LID of a person, and the name to show."""

    def complete(self, address: Address) -> Address:
        """Add the number or the LID if it is known."""

    def name(self, address: Address) -> str:
        """Give the best name known: address book, then push name, then ''."""
