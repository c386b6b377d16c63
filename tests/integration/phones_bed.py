"""What the tests of phones against the real client share: a sandbox process, and clients linked through its API.

Starting both processes costs a second, so a module shares them, and each test makes people and clients of its own.
"""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import running_sandbox
from tests.sandbox.probing import Probe, jid

_numbers = itertools.count(1)


@dataclass
class Phones:
    """Alice, whose account a real client is linked to, and her contact Bob."""

    sandbox: SandboxClient
    probe: Probe
    alice: AccountHandle
    bob: AccountHandle
    client: str  # the name of the first client in the child process

    @property
    def second(self) -> str:
        """The name of a second client."""
        return f"{self.client}-second"

    async def link(self, owner: AccountHandle | None = None, name: str = "") -> int:
        """Link a new client by its QR code, and wait until it is active and has fetched the app state."""
        owner, name = owner or self.alice, name or self.client
        await self.probe.start(name)
        device = await owner.scan(await self.probe.event(name, "QR"))
        await self.probe.event(name, "Connected")
        await owner.synced(device)
        return device

    async def call(self, method: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        """Call a method of the client."""
        return await self.probe.call(self.client, method, *args, **kwargs)  # type: ignore[arg-type]  # no `patience`

    async def send(self, text: str, to: AccountHandle | None = None) -> str:
        """Send a text with the client, to Bob unless told; gives its id."""
        return str((await self.call("send_message", jid((to or self.bob).pn), text))["ID"])

    async def event(self, name: str, accept: Callable[[Any], object] = lambda _: True) -> Any:  # noqa: ANN401
        """Wait for an event of the client."""
        return await self.probe.event(self.client, name, accept)

    async def message(self, message_id: str) -> Any:  # noqa: ANN401 - an event
        """Wait for the message of this id."""
        return await self.event("Message", lambda data: data["Info"]["ID"] == message_id)

    def seen(self, name: str) -> list[Any]:
        """The client's events of one name so far."""
        return [e.data for e in self.probe.events if (e.client, e.name) == (self.client, name)]

    def texts(self) -> list[str]:
        """The texts that the client has shown, in order, without messages that have none."""
        return [text for text in map(text_of, self.seen("Message")) if text]

    async def shown(self, count: int) -> list[str]:
        """The texts that the client has shown, once there are so many (a key share is a message without text)."""
        await self.event("Message", lambda _data: len(self.texts()) >= count)
        return self.texts()

    async def until(self, name: str, count: int) -> None:
        """Wait until the client has raised so many events of a name."""
        await self.event(name, lambda _data: len(self.seen(name)) >= count)


@asynccontextmanager
async def processes(folder: Path, **options: object) -> AsyncIterator[tuple[SandboxClient, Probe]]:
    """A sandbox process, and a child process for clients."""
    settings = {"fresh_count": 100} | options
    async with (
        running_sandbox(folder, **settings) as sandbox,
        Probe(sandbox.config_file or folder, folder) as probe,
    ):
        yield sandbox, probe


async def people(sandbox: SandboxClient, probe: Probe, **options: Any) -> Phones:  # noqa: ANN401 - passed on
    """A new Alice and a new Bob, who is in her address book; no client is linked yet."""
    number = next(_numbers)
    alice = await sandbox.account(f"Alice {number}", contacts=[f"Bob {number}"], **options)
    return Phones(sandbox, probe, alice, await sandbox.contact(f"Bob {number}"), f"client-{number}")


def text_of(message: Any) -> str:  # noqa: ANN401 - an event
    """The text of a message event."""
    content = message.get("Message", {})
    return str(content.get("conversation") or content.get("extendedTextMessage", {}).get("text", ""))
