"""Owners who are linked and in conversation: what the benches of the whole system measure on.

    async with linked(folder, count=5) as bed:
        await bed.owners[0].contact.burst(to=bed.owners[0].phone, count=500)

Everything is started as the product starts it (`ponton local`), with the sandbox in WhatsApp's place. The limits on
sending are set far above what is measured, in the gateway's YAML, since they are what would be measured otherwise.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from tests.bench import usage
from tests.bench.linking import link
from tests.bench.profiled import SWITCH, ProfiledLocal
from tests.demo.stage import GATEWAY, HOST, UPLOAD, Stage
from tests.harness.local import Local
from tests.harness.prosody import running_prosody
from tests.harness.redis import running_redis
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import running_sandbox

# "off" in the gateway's words: the largest rate that a shard takes; 0 new contacts an hour means no limit.
UNLIMITED: Final = {"limits": {"perMinute": 100_000, "burst": 100_000, "newContactsPerHour": 0, "newContactsPerDay": 0}}
PATIENCE: Final = 120.0  # seconds until a message counts as lost
POLL: Final = 10.0  # seconds of one look into a phone


@dataclass(frozen=True, slots=True)
class Seen:
    """A text that arrived, with the wall clock's time (seconds since 1970): one machine, so one clock for all."""

    at: float
    text: str


@dataclass
class Owner:
    """One linked owner and one contact. `arrived` fills with what the contact wrote, at the owner's client."""

    client: Client
    phone: AccountHandle
    contact: AccountHandle
    jid: str  # of the contact, as the client knows it
    name: str  # of the account's resource
    arrived: list[Seen] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    read: int = 0  # number of the last record of the contact's phone that was read

    def listen(self) -> None:
        """Note each text of the contact as it comes."""
        path = "{jabber:client}message/{jabber:client}body"
        self.client.register_handler(Callback("arrivals", MatchXPath(path), self._note))

    def _note(self, message: StanzaBase) -> None:
        if message["from"].bare == self.jid:
            self.arrived.append(Seen(time.time(), str(message["body"])))
            self._news.set()

    async def here(self, count: int) -> list[Seen]:
        """Wait until the owner's client has so many texts of the contact; gives all. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while len(self.arrived) < count:
                self._news.clear()
                await self._news.wait()
        return self.arrived

    async def there(self, count: int) -> list[Seen]:
        """Wait until the contact's phone has seen so many further texts; gives them. Raises TimeoutError."""
        found, self.read = await there(self.contact, count, self.read)
        return found

    def say(self, text: str) -> float:
        """Write to the contact, a plain text; gives when. By hand: the client runs on the cores that are measured."""
        at = time.time()
        self.client.send_raw(
            f"<message to='{self.jid}' id='{secrets.token_hex(8)}' type='chat'><body>{text}</body></message>"
        )
        return at

    async def write(self, text: str) -> float:
        """Let the contact write; gives when."""
        at = time.time()
        await self.contact.send_text(to=self.phone, text=text)
        return at


async def there(phone: AccountHandle, count: int, since: int) -> tuple[list[Seen], int]:
    """Wait until a phone has seen `count` texts after record `since`; gives them and the last record's number.

    Asks once for all of them: to ask for each would take more of the cores than what is measured.
    """
    found: list[Seen] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            for record in await phone.inbox(since, POLL, "message", count=count - len(found), details=False):
                since = record["n"]
                found.append(Seen(record["at"], record["text"]))
    return found, since


@dataclass
class Bed:
    """The stage with its owners."""

    stage: Stage
    owners: list[Owner]

    @property
    def sandbox(self) -> SandboxClient:
        """The sandbox in WhatsApp's place."""
        assert self.stage.sandbox is not None
        return self.stage.sandbox

    def shard(self, owner: Owner) -> int:
        """Give the pid of an owner's shard."""
        return self.stage.local.shards()[owner.name]

    def cpu_seconds(self) -> dict[str, float]:
        """Give the CPU time used so far, by whom: what is measured, and what the measuring takes on the same cores."""
        shards = [self.shard(owner) for owner in self.owners]
        return {
            "shard": sum(map(usage.cpu_seconds, shards)),
            "prosody": self.stage.prosody.cpu_seconds(),
            "sandbox": usage.cpu_seconds(usage.child(os.getpid(), "tests.sandbox", "serve")),
            "clients": time.process_time(),
        }


@asynccontextmanager
async def linked(folder: Path, count: int = 1) -> AsyncIterator[Bed]:
    """Start everything and link `count` owners, each with one contact to whom both ways have been used once."""
    async with AsyncExitStack() as stack:
        stage = await _stage(stack, folder)
        owners = [await _owner(stack, stage, number) for number in range(count)]
        yield Bed(stage, owners)


async def _stage(stack: AsyncExitStack, folder: Path) -> Stage:
    hosts = {"domain": HOST, "component": GATEWAY, "upload": UPLOAD}
    prosody = await stack.enter_async_context(running_prosody(folder / "prosody", **hosts))  # type: ignore[arg-type]  # three texts
    redis = await stack.enter_async_context(running_redis(folder / "redis"))
    sandbox = await stack.enter_async_context(running_sandbox(folder))
    kind = ProfiledLocal if os.environ.get(SWITCH) else Local
    local = kind(folder / "ponton", prosody, redis, sandbox.config_file, template=UNLIMITED)
    local.write()
    await local.start()
    stack.push_async_callback(local.stop)
    return Stage(folder, prosody, redis, local, sandbox)


async def _owner(stack: AsyncExitStack, stage: Stage, number: int) -> Owner:
    assert stage.sandbox is not None
    local, password = f"owner{number}", "pw"
    jid = stage.prosody.add_user(local, password)
    phone = await stage.sandbox.account(push_name=local, contacts=[f"Contact {number}"])
    contact = await stage.sandbox.contact(f"Contact {number}")
    client = await stack.enter_async_context(logged_in(stage.prosody, local, password, resource="x"))
    await link(stage, client, phone)
    address = f"{contact.number}@{stage.prosody.component}"
    owner = Owner(client, phone, contact, address, stage.local.account(jid))
    owner.listen()
    # The first message each way makes the sessions of the encryption, which later ones need not.
    await owner.write("first in")
    await owner.here(1)
    owner.say("first out")
    await owner.there(1)
    owner.arrived.clear()
    return owner


async def paced(count: int, rate: float, each: Callable[[int], Any]) -> None:
    """Await `each(number)` for 0 to `count` - 1, `rate` a second; one that is late is made up for."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        await each(number)
