"""What a scenario needs behind the clients: a gateway, the owner's phone and one contact. A protocol only.

`StandIn` is one without WhatsApp, `Product` is Ponton itself with the sandbox; a scenario cannot tell them apart.
"""

from typing import Protocol

from tests.clients.layout import User


class Backend(Protocol):
    """A gateway at layout.GATEWAY, and the people behind it."""

    async def contact(self, user: User) -> str:
        """The JID of the contact of this user."""

    async def number(self, user: User) -> str:
        """The phone number of this user, in international form."""

    async def scan(self, user: User, code: str) -> None:
        """The user's phone scans a code; returns when the link is made. Fails if the code is not the live one."""

    async def type_in(self, user: User, letters: str) -> None:
        """The user types the eight letters on the phone; as `scan`."""

    async def say(self, user: User, text: str) -> None:
        """The contact writes to the user."""

    async def heard(self, user: User, text: str) -> None:
        """Wait until the contact's phone has shown this text from the user."""
