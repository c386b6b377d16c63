"""Ponton itself as the gateway behind the clients, with the sandbox in WhatsApp's place; called by `lab`."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.clients import layout
from tests.harness.local import running_local
from tests.harness.prosody import Prosody
from tests.harness.redis import running_redis
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import running_sandbox

CONTACT = "Ana"


class Product:
    """A `Backend`: each user has a phone of their own in the sandbox, and all know the same contact."""

    def __init__(self, sandbox: SandboxClient, contact: AccountHandle) -> None:
        self._sandbox = sandbox
        self._contact = contact
        self._phones: dict[layout.User, AccountHandle] = {}
        self._read = 0  # the contact's phone was read up to this record

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path, prosody: Prosody) -> AsyncIterator["Product"]:
        """Start Redis, the sandbox and `ponton local` below `folder`; all end with the block."""
        async with (
            running_redis(folder / "redis") as redis,
            running_sandbox(folder) as sandbox,
            running_local(folder / "ponton", prosody, redis, sandbox=sandbox.config_file),
        ):
            yield cls(sandbox, await sandbox.contact(CONTACT))

    async def _phone(self, user: layout.User) -> AccountHandle:
        if user not in self._phones:
            self._phones[user] = await self._sandbox.account(user.name.capitalize(), contacts=[CONTACT])
        return self._phones[user]

    async def contact(self, user: layout.User) -> str:  # noqa: ARG002 - the same for everybody
        """The contact's JID."""
        return layout.contact(self._contact.number)

    async def number(self, user: layout.User) -> str:
        """The number of the user's phone."""
        return (await self._phone(user)).number

    async def scan(self, user: layout.User, code: str) -> None:
        """Scan with the user's phone, and wait until the new companion knows the address book."""
        phone = await self._phone(user)
        await phone.synced(await phone.scan(code))

    async def type_in(self, user: layout.User, letters: str) -> None:
        """Type the letters on the user's phone; as `scan`."""
        phone = await self._phone(user)
        await phone.synced(await phone.type_code(letters.replace("-", "")))

    async def say(self, user: layout.User, text: str) -> None:
        """Send a text from the contact."""
        await self._contact.send_text(to=await self._phone(user), text=text)

    async def heard(self, user: layout.User, text: str) -> None:  # noqa: ARG002 - one user talks at a time
        """Wait until the contact's phone got this text after the last one asked for."""
        record = await self._contact.wait_for("message", since=self._read, text=text)
        self._read = int(record["n"])
