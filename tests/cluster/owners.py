"""Owners in an installation: linked by the way of a person, with somebody to talk to, talking without a pause.

    async with linked(ways, "ann") as ann:
        talk = Talk(ann)

Called by the tests that need conversations on a cluster.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

from tests.cluster.release import SERVED
from tests.cluster.scene import Ways
from tests.demo import picture, story
from tests.demo.story import PATIENCE, code_of
from tests.harness.prosody import until
from tests.harness.xmpp import Client
from tests.sandbox.client import AccountHandle

PAUSE = 0.5  # seconds between two messages of a talk


@dataclass
class Talk:
    """Numbered messages both ways, one pair after the other, until it is told to end."""

    owner: "Owner"
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    count: int = 0
    ids: dict[str, str] = field(default_factory=dict)  # texts of the peer by their id

    async def go(self) -> None:
        """Talk."""
        while not self.ended.is_set():
            self.owner.client.say(self.owner.contact, f"{self.owner.user} out {self.count}")
            text = f"{self.owner.user} in {self.count}"
            self.ids[await self.owner.peer.send_text(to=self.owner.phone, text=text)] = text
            self.count += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), PAUSE)

    async def faults(self) -> list[str]:
        """Wait until the last message is there both ways; name what is lost, doubled or out of order."""
        out = [f"{self.owner.user} out {n}" for n in range(self.count)]
        back = [f"{self.owner.user} in {n}" for n in range(self.count)]
        client, contact = self.owner.client, self.owner.contact
        with suppress(TimeoutError):
            await until(lambda: self._there(out), timeout=PATIENCE)
            await client.until(lambda: set(back) <= set(client.bodies(contact)), timeout=PATIENCE)
        # What the shard could not read and asked for again comes later: on every WhatsApp device.
        again = {self.ids[record["id"]] for record in await self.owner.peer.inbox(kinds="retry")}
        return _faults(out, await self._seen()) + _faults(back, client.bodies(contact), again)

    async def _seen(self) -> list[str]:
        return [str(record["text"]) for record in await self.owner.peer.arrived()]

    async def _there(self, texts: list[str]) -> bool:
        return set(texts) <= set(await self._seen())


def _faults(sent: list[str], came: list[str], late: Collection[str] = ()) -> list[str]:
    """Name what is lost, doubled or out of order; `late` may come later than its place.

    >>> _faults(["a", "b", "c", "d"], ["b", "a", "b", "d"])
    ['lost: c', 'doubled: b', 'order: a after b']
    >>> _faults(["a", "b"], ["b", "a"], ["a"])
    []
    """
    ours = [text for text in came if text in set(sent)]
    first = list(dict.fromkeys(ours))
    found = [f"lost: {text}" for text in sent if text not in ours]
    found += [f"doubled: {text}" for text in first if ours.count(text) > 1]
    place = {text: number for number, text in enumerate(sent)}
    placed = pairwise(text for text in first if text not in late)
    return found + [f"order: {text} after {before}" for before, text in placed if place[text] < place[before]]


@dataclass
class Owner:
    """Somebody with a linked account; `peer` is in the phone's address book."""

    user: str
    client: Client
    phone: AccountHandle
    peer: AccountHandle

    @property
    def contact(self) -> str:
        """The peer's JID at the gateway."""
        return f"{self.peer.number}@{SERVED}"


@asynccontextmanager
async def linked(ways: Ways, user: str) -> AsyncIterator[Owner]:
    """Make an account by kubectl, scan its code, wait until it is linked; the account stays afterwards."""
    phone = await ways.sandbox.account(push_name=f"Phone of {user}", contacts=[f"Peer of {user}"])
    peer = await ways.sandbox.contact(f"Peer of {user}")
    async with ways.client(user, "laptop") as client:
        made = ways.release.account(user)
        await asyncio.to_thread(ways.release.cluster.apply, made)
        await phone.scan(picture.read(await asyncio.to_thread(ways.fetch, await code_of(client, SERVED))))
        await story.linked(client, SERVED)
        owner = Owner(user, client, phone, peer)
        await client.until(lambda: owner.contact in client.client_roster, timeout=PATIENCE)
        yield owner
