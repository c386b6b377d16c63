"""Looks on during a chaos run: what WhatsApp was acknowledged, whether the front desk answers, which epochs rule."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from slixmpp.exceptions import IqError, IqTimeout

from ponton_bridge.coordination.client.door import DoorClient
from tests.chaos.history import Direction, Seen, Token
from tests.chaos.recovery import Window
from tests.chaos.town import WATCH, Town
from tests.harness.local import GATEWAY
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.world import TRACE_LENGTH

EVERY = 1.0  # seconds between two looks
POLL = 10.0  # seconds of one long poll
SLOW = 5.0  # seconds after which an answer of the front desk is none


class Acknowledgements:
    """`at`: (owner, WhatsApp id) -> when a message was acknowledged to the sandbox, the last time."""

    def __init__(self, sandbox: SandboxClient, phones: Mapping[str, AccountHandle]) -> None:
        self.at: dict[tuple[str, str], float] = {}
        self.blind = 0  # entries of the sandbox's trace that were gone before we read them
        self._sandbox = sandbox
        self._owners = {phone.lid.partition("@")[0]: owner for owner, phone in phones.items()}
        self._since: int | None = None

    async def look(self) -> None:
        """Take what has come since the last look; the first one only finds where the trace is."""
        fields = {"since": self._since or 0, "events": "acknowledged", "limit": TRACE_LENGTH}
        answer = await self._sandbox.call("GET", "/trace", fields)
        if self._since is not None:
            self.blind += max(0, answer["last"] - self._since - TRACE_LENGTH)
        self._since = answer["last"]
        for entry in answer["entries"]:
            owner = self._owners.get(str(entry["who"]).partition("@")[0].partition(":")[0])
            if owner and entry["stanza"]["tag"] == "message":
                self.at[owner, entry["stanza"]["attrs"]["id"]] = entry["at"]


@dataclass
class Watch:
    """`pings`: (asked at, seconds or None for no answer). `received`: what contacts' phones show, in order."""

    town: Town
    acknowledged: Acknowledgements = field(init=False)
    pings: list[Window | tuple[float, None]] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    backwards: int = 0  # heartbeats of an epoch below one seen before
    looks: int = 0
    received: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))  # by contact, in order
    asked_again: set[str] = field(default_factory=set)  # WhatsApp ids that a shard could not read, and asked for again

    async def run(self) -> None:
        """Look on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._acknowledgements())
            tasks.create_task(self._desk())
            tasks.create_task(self._heartbeats())
            for contact in self.town.contacts:
                tasks.create_task(self._phone(contact))

    def __post_init__(self) -> None:
        """Watch all phones."""
        self.acknowledged = Acknowledgements(self.town.sandbox, self.town.phones)

    async def _acknowledgements(self) -> None:
        while True:
            await self.acknowledged.look()
            await asyncio.sleep(EVERY)

    async def _desk(self) -> None:
        """Ping the front desk again and again, whenever there is a server to ask."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                if self.town.people[WATCH].client is not None:
                    tasks.create_task(self._ping())
                await asyncio.sleep(EVERY)

    async def _ping(self) -> None:
        client, now = self.town.people[WATCH].client, time.time()
        assert client is not None
        answered = None
        with suppress(IqError, IqTimeout):
            await client.ask("<ping xmlns='urn:xmpp:ping'/>", to=self.town.stage.prosody.component)
            answered = time.time() - now
        self.pings.append((now, answered) if answered is not None and answered <= SLOW else (now, None))

    def unanswered(self, away: list[Window]) -> int:
        """Count the questions without an answer while the servers were there all the time."""
        silent = [at for at, answer in self.pings if answer is None]
        return sum(not any(at <= end and begin <= at + SLOW for begin, end in away) for at in silent)

    async def _heartbeats(self) -> None:
        door = DoorClient(self.town.stage.redis.url, GATEWAY)
        try:
            while True:
                beats = await door.heartbeats(list(self.town.names.values()))
                self.looks += bool(beats)
                for name, beat in beats.items():
                    self.backwards += beat.epoch < self.epochs.get(name, 0)
                    self.epochs[name] = max(self.epochs.get(name, 0), beat.epoch)
                await asyncio.sleep(EVERY)
        finally:
            await door.close()

    async def _phone(self, contact: str) -> None:
        """Read what a contact's phone shows."""
        owners = {phone.number: owner for owner, phone in self.town.phones.items()}
        since = 0
        while True:
            for record in await self.town.contacts[contact].inbox(since, POLL):
                since = record["n"]
                if record["kind"] == "retry":
                    self.asked_again.add(record["id"])
                elif record["kind"] == "message" and (token := Token.read(record["text"])):
                    sender = owners.get(record["from"], "nobody")
                    self.received[contact].append(Seen(sender, contact, Direction.OUT, token, str(record["id"])))
