"""Owners with linked accounts and their contacts on the demo's stage. Called by `run`, `rogue` and the tests.

A contact is shared by several owners, so that a message could go astray; whose it is stands in its token.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponton_bridge.model.states import TABLE, Reason
from tests.chaos.person import Person
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.stage import Stage, built
from tests.demo.story import OOB
from tests.harness.prosody import until
from tests.sandbox.client import AccountHandle, SandboxClient

PASSWORD = "pw"
AT_ONCE = 3  # owners that link at the same time
LINKED = 60.0  # seconds for one of them
WATCH = "watch"  # who asks the front desk again and again


@dataclass
class Town:
    """`names`: resource names of the accounts; everything else by owner (local part) or contact (name)."""

    stage: Stage
    sandbox: SandboxClient
    chats: list[tuple[str, str]]
    people: dict[str, Person] = field(default_factory=dict)
    phones: dict[str, AccountHandle] = field(default_factory=dict)
    contacts: dict[str, AccountHandle] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def owners(self) -> list[str]:
        """All of them."""
        return list(dict.fromkeys(owner for owner, _ in self.chats))

    def jid(self, contact: str) -> str:
        """Where a contact is for everybody."""
        return f"{self.contacts[contact].number}@{self.stage.prosody.component}"

    def home(self, owner: str) -> Path:
        """The folder of an account's process."""
        return self.stage.local.folder / "state" / "shards" / self.names[owner]

    def events(self, owner: str, *wanted: str) -> list[dict[str, Any]]:
        """Give what an owner's shards have logged of these events, in order."""
        found = []
        for file in ("shard.log.1", "shard.log"):
            path = self.home(owner) / file
            for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
                with suppress(ValueError):  # the last line of a shard that was killed, or of the Go library
                    event = json.loads(line)
                    if isinstance(event, dict) and event.get("event") in wanted:
                        found.append(event)
        return found

    def connections(self, owner: str) -> list[float]:
        """Give the moments at which an owner's account was connected with WhatsApp."""
        return [e["time"] for e in self.events(owner, "link_changed") if e.get("reason") == Reason.CONNECTED]


def neighbours(owners: int, contacts: int, each: int) -> list[tuple[str, str]]:
    """Give chats: each owner with `each` of the contacts, so that every contact is shared.

    >>> neighbours(2, 3, 2)
    [('o0', 'c0'), ('o0', 'c1'), ('o1', 'c1'), ('o1', 'c2')]
    """
    return [(f"o{o}", f"c{(o + n) % contacts}") for o in range(owners) for n in range(each)]


@asynccontextmanager
async def inhabited(folder: Path, chats: Sequence[tuple[str, str]], say: Say) -> AsyncIterator[Town]:
    """Build the stage, link everybody, keep all clients online until the block ends."""
    async with built(folder, say) as stage, asyncio.TaskGroup() as tasks:
        assert stage.sandbox is not None
        town = Town(stage, stage.sandbox, list(chats))
        for contact in dict.fromkeys(contact for _, contact in chats):
            town.contacts[contact] = await stage.sandbox.contact(contact)
        running = []
        for owner in [*town.owners, WATCH]:
            stage.prosody.add_user(owner, PASSWORD)
            town.people[owner] = Person(stage.prosody, owner, PASSWORD)
            running.append(tasks.create_task(town.people[owner].run()))
        places = asyncio.Semaphore(AT_ONCE)
        try:
            await asyncio.gather(*(_linked(town, owner, places) for owner in town.owners))
            say(f"{len(town.owners)} owners are linked")
            yield town
        finally:
            for task in running:
                task.cancel()


async def _linked(town: Town, owner: str, places: asyncio.Semaphore) -> None:
    """Register by chat and scan the picture."""
    person, stage = town.people[owner], town.stage
    mine = [contact for who, contact in town.chats if who == owner]
    async with places, asyncio.timeout(LINKED):
        town.phones[owner] = await town.sandbox.account(push_name=owner, contacts=mine)
        town.names[owner] = stage.local.account(person.jid)
        await until(lambda: person.client is not None, timeout=LINKED, what="a client online")
        person.say(stage.prosody.component, "register")
        assert person.client is not None
        shown = await person.client.message(lambda m: m.xml.find(OOB) is not None, timeout=LINKED)
        code = picture.read(await asyncio.to_thread(stage.fetch, str(shown["body"])))
        scanning = asyncio.create_task(town.phones[owner].scan(code))
        await person.client.presence(lambda p: p["status"] == TABLE[Reason.CONNECTED].sentence, timeout=LINKED)
        device = await scanning
        # Messages from a phone whose companion is still settling in are another story.
        await town.phones[owner].synced(device)
