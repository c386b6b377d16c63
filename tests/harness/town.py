"""The whole system with two linked owners and a stranger, shared by the tests that throw things at it.

    async with built_town(folder) as town:
        await town.alice.outcomes(...)       # what came back for each stanza that was thrown
        await town.peace()                   # the neighbour noticed nothing, nobody died

Alice is the one who misbehaves (or whose contact Bob does), Carol with her contact Dora is the neighbour who must not
notice, Mallory has a login and no account. `Trap` counts connections that nobody should make.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from ponton_bridge.model.states import TABLE, Reason
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.stage import Stage
from tests.harness.local import children, running_local
from tests.harness.prosody import running_prosody, until
from tests.harness.redis import running_redis
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import running_sandbox

HOST, GATEWAY, UPLOAD = "localhost", "whatsapp.localhost", "upload.localhost"
USERS = {name: f"{name}-password" for name in ("alice", "carol", "mallory", "mallory2", "mallory3", "mallory4")}
NO_LIMITS = {"limits": {"perMinute": 60_000, "burst": 60_000, "newContactsPerHour": 0, "newContactsPerDay": 0}}
OOB = "{jabber:x:oob}x/{jabber:x:oob}url"
RECEIVED = "{urn:xmpp:receipts}received"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
PATIENCE = 30.0  # seconds for all answers of a table; the machine may be busy with other tests
MAX_RSS = 256  # MiB of one process of ours; an idle shard has about 60
NOTHING = "nothing"


class Case(NamedTuple):
    """Something to throw. `expected` is 'delivered', 'result', 'error CONDITION' or NOTHING.

    In `xml` the names in double braces are filled in: id, bob, alice, carol, gateway, host, trap.
    """

    name: str
    xml: str
    expected: str


class Trap:
    """A web server that nobody is to reach; `visits` holds what came."""

    def __init__(self) -> None:
        self.port = 0
        self.visits: list[bytes] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a visit; what it asked for helps to find out who it was."""
        self.visits.append(b"connected")
        self.visits[-1] = await reader.read(200) or b"connected"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n<title>internal</title>\r\n\r\n")
        writer.close()


@dataclass
class Thrower:
    """A client that sends anything, and knows what came back for each id."""

    client: Client
    town: "Town"
    number: int = 0
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listen to every stanza that comes."""
        for kind in ("message", "iq", "presence"):
            path = MatchXPath(f"{{jabber:client}}{kind}")
            self.client.register_handler(Callback(f"thrower {kind}", path, self._came))

    def _came(self, stanza: object) -> None:
        xml: Element = stanza.xml  # type: ignore[attr-defined]  # slixmpp's stanzas are untyped here
        if (receipt := xml.find(RECEIVED)) is not None and "whatsapp" in xml.get("from", ""):
            self.answers.setdefault(receipt.get("id", ""), "delivered")
        if xml.get("type") == "error":
            error = xml.find("{jabber:client}error")
            tags = [c.tag.removeprefix(STANZAS) for c in (error if error is not None else []) if "}text" not in c.tag]
            self.answers.setdefault(xml.get("id", ""), f"error {next(iter(tags), '')}")
        elif xml.get("type") == "result":
            self.answers.setdefault(xml.get("id", ""), "result")
        self.client._news.set()

    def fill(self, text: str, **more: str) -> str:
        """Fill in the names of a template."""
        for name, value in {**self.town.names, **more}.items():
            text = text.replace("{{" + name + "}}", value)
        return text

    async def outcomes(self, cases: list[Case]) -> dict[str, str]:
        """Throw all of them, wait for what is expected, then until later stanzas are through; say what came."""
        ids = {}
        for case in cases:
            self.number += 1
            ids[case.name] = f"case-{self.number}"
            self.client.send_raw(self.fill(case.xml, id=ids[case.name]))
        assert len(cases) == len(ids), "two cases of one name"
        wanted = {ids[case.name] for case in cases if case.expected != NOTHING}
        with suppress(TimeoutError):  # the comparison says which are missing
            await self.client.until(lambda: wanted <= self.answers.keys(), timeout=PATIENCE)
        await self.through()
        return {case.name: self.answers.get(ids[case.name], NOTHING) for case in cases}

    async def through(self) -> None:
        """Wait until a question to the gateway is answered, and, for a linked owner, one to a contact."""
        for to in [GATEWAY, f"{self.town.bob.number}@{GATEWAY}"]:
            self.number += 1
            name = f"fence-{self.number}"
            self.client.send_raw(f"<iq type='get' id='{name}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>")
            await self.client.until(partial(self.answers.__contains__, name), timeout=PATIENCE, what=name)


@dataclass
class Town:
    """All of it, running."""

    stage: Stage
    sandbox: SandboxClient
    trap: Trap
    users: dict[str, Client] = field(default_factory=dict)
    phones: dict[str, AccountHandle] = field(default_factory=dict)
    throwers: dict[str, Thrower] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)  # other names for owners and contacts
    codes: list[str] = field(default_factory=list)  # that were shown
    rounds: int = 0
    born: dict[int, str] = field(default_factory=dict)  # pid -> command, when everything was linked

    @property
    def alice(self) -> Thrower:
        """The linked owner who throws."""
        return self.throwers["alice"]

    @property
    def bob(self) -> AccountHandle:
        """Her contact."""
        return self.phones["bob"]

    @property
    def names(self) -> Mapping[str, str]:
        """What templates may name."""
        contacts = {name: f"{phone.number}@{GATEWAY}" for name, phone in self.phones.items()}
        trap = f"127.0.0.1:{self.trap.port}"
        return contacts | {
            "alice": self.owner("alice"),
            "carol": self.owner("carol"),
            "gateway": GATEWAY,
            "host": HOST,
            "trap": trap,
        }

    def owner(self, name: str) -> str:
        """Give the bare JID of somebody with a login."""
        return f"{self.spelled.get(name, name)}@{HOST}"

    async def link(self, name: str, contact: str) -> None:
        """Link an owner whose phone knows one contact."""
        client = self.users[name]
        phone = self.phones[f"{name}-phone"] = await self.sandbox.account(
            push_name=self.spelled.get(name, name), contacts=[self.spelled.get(contact, contact)]
        )
        self.phones[contact] = await self.sandbox.contact(self.spelled.get(contact, contact))
        client.say(GATEWAY, "register")
        shown = await client.message(lambda m: m["from"].bare == GATEWAY and m.xml.find(OOB) is not None, timeout=30)
        content = await asyncio.to_thread(self.stage.fetch, shown.xml.findtext(OOB) or "")
        self.codes.append(picture.read(content))
        await phone.scan(self.codes[-1])
        sentence = TABLE[Reason.CONNECTED].sentence
        await client.presence(lambda p: p["from"].bare == GATEWAY and p["status"] == sentence, timeout=30)
        jid = f"{self.phones[contact].number}@{GATEWAY}"
        await client.until(
            lambda: (
                jid in client.client_roster and client.client_roster[jid]["name"] == self.spelled.get(contact, contact)
            )
        )

    def processes(self) -> dict[int, str]:
        """Give the product's processes: pid -> what it is (command lines hold no secret, nor do failures)."""
        local = self.stage.local.process
        assert local is not None
        ours = [local.pid, *children(local.pid), self.stage.prosody.pid, self.stage.redis.pid or 0]
        return {pid: _command(pid) for pid in ours}

    async def exchange(self, name: str, contact: str, word: str) -> None:
        """Let an owner and a contact write to each other once."""
        client, phone, other = self.users[name], self.phones[f"{name}-phone"], self.phones[contact]
        there, back = f"{word} there", f"{word} back"
        client.say(f"{other.number}@{GATEWAY}", there)
        await other.wait_for("message", text=there)
        await other.send_text(to=phone, text=back)
        await client.message(lambda m: m["body"] == back, timeout=PATIENCE)

    async def peace(self) -> None:
        """Everybody lives on in the same process and within bounds; both owners still talk, nobody visited the trap."""
        self.rounds += 1
        await self.exchange("carol", "dora", f"peace {self.rounds}")
        await self.exchange("alice", "bob", f"peace {self.rounds}")
        assert self.born.items() <= self.processes().items()
        large = {what: size for pid, what in self.born.items() if (size := _rss_mib(pid)) > MAX_RSS}
        assert {} == large
        assert [] == self.trap.visits


@asynccontextmanager
async def built_town(
    folder: Path, *, log_level: str = "info", spelled: Mapping[str, str] | None = None
) -> AsyncIterator[Town]:
    """Start everything, link both owners, give the town, end everything; `spelled` gives people other names."""
    spelled = spelled or {}
    users = {spelled.get(name, name): password for name, password in USERS.items()}
    async with AsyncExitStack() as stack:
        prosody = await stack.enter_async_context(
            running_prosody(folder / "prosody", domain=HOST, component=GATEWAY, upload=UPLOAD, users=users)
        )
        redis = await stack.enter_async_context(running_redis(folder / "redis"))
        sandbox = await stack.enter_async_context(running_sandbox(folder))
        template = NO_LIMITS | {"logLevel": log_level}
        local = await stack.enter_async_context(
            running_local(folder / "ponton", prosody, redis, sandbox=sandbox.config_file, template=template)
        )
        town = Town(Stage(folder, prosody, redis, local, sandbox), sandbox, Trap(), spelled=spelled)
        server = await asyncio.start_server(town.trap.accept, "127.0.0.1", 0)
        stack.callback(server.close)
        town.trap.port = server.sockets[0].getsockname()[1]
        with suppress(OSError):  # a machine without IPv6 has nobody there to visit
            stack.callback((await asyncio.start_server(town.trap.accept, "::1", town.trap.port)).close)
        for name, password in USERS.items():
            client = await stack.enter_async_context(
                logged_in(prosody, spelled.get(name, name), password, resource="x")
            )
            town.users[name] = client
            town.throwers[name] = Thrower(client, town)
        await town.link("alice", "bob")
        await town.link("carol", "dora")
        await until(lambda: len(local.shards()) == 2, what="two shards")
        town.born = town.processes()
        await town.peace()
        yield town


def say_nothing() -> Say:
    """Give a narrator who keeps silent."""
    return Say(lambda _line: None)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _rss_mib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_048_576
