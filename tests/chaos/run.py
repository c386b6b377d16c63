"""One chaos run: a town that talks, a nemesis, and in the end what both sides have. `report` judges it."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.chaos.history import Direction, Seen, Token
from tests.chaos.nemesis import Nemesis
from tests.chaos.schedule import Fault, schedule
from tests.chaos.town import Town, inhabited, neighbours
from tests.chaos.traffic import Send, traffic
from tests.chaos.watch import Watch
from tests.demo.say import Say

STILL: Final = 45.0  # seconds without anything new after which what is missing is missing; two sends without an answer
SETTLED: Final = 300.0  # seconds after the last fault until everything has to be over
LOOK: Final = 1.0  # seconds between two looks


@dataclass(frozen=True)
class Profile:
    """How large a storm is: `each_way` messages in each direction over all chats, within `seconds`.

    `most_lost` bounds what neonize may lose inside itself at kills.
    """

    name: str
    owners: int
    contacts: int
    chats_each: int
    each_way: int
    seconds: float
    most_lost: int
    faults: Mapping[Fault, int]


FULL: Final = Profile(
    name="full",
    owners=40,
    contacts=8,
    chats_each=3,
    each_way=4000,
    seconds=900.0,
    most_lost=20,  # 0.5 %
    faults={
        Fault.SHARD_KILLED: 40,
        Fault.SHARD_FROZEN: 5,
        Fault.PROSODY_RESTARTED: 3,
        Fault.PROSODY_KILLED: 3,
        Fault.REDIS_RESTARTED: 3,
        Fault.REDIS_AWAY: 1,
        Fault.RUNTIME_KILLED: 2,
        Fault.WHATSAPP_CUT: 20,
        Fault.MESSAGE_CORRUPTED: 10,
    },
)
SHORT: Final = replace(
    FULL,
    name="short",
    owners=4,
    contacts=3,
    chats_each=2,
    each_way=80,
    seconds=70.0,
    most_lost=3,  # one for each aimed kill and for the runtime's: so few messages give no meaningful share
    faults={
        Fault.SHARD_KILLED: 5,
        Fault.SHARD_FROZEN: 1,
        Fault.PROSODY_RESTARTED: 1,
        Fault.PROSODY_KILLED: 1,
        Fault.REDIS_RESTARTED: 1,
        Fault.RUNTIME_KILLED: 1,
        Fault.WHATSAPP_CUT: 3,
        Fault.MESSAGE_CORRUPTED: 2,
    },
)


@dataclass
class Books:
    """What was sent and what was found, by token; what `report` reads."""

    profile: Profile
    seed: int
    sent: dict[Direction, list[Token]] = field(default_factory=lambda: {way: [] for way in Direction})
    seen: dict[Direction, list[Seen]] = field(default_factory=lambda: {way: [] for way in Direction})
    told: dict[Token, str] = field(default_factory=dict)  # XMPP -> WhatsApp: the error's text
    ids: dict[Token, str] = field(default_factory=dict)  # the ids at the sender's side
    journaled: dict[str, set[str]] = field(default_factory=dict)  # by owner: WhatsApp ids that its journal has
    uncertain: dict[str, int] = field(default_factory=dict)  # by owner: sends that were repeated or given up
    repeated: int = 0  # a client's own repeats that shards recognised
    resent: int = 0  # messages that clients sent again
    unarchived: int = 0
    accepted_late: int = 0
    seconds: float = 0.0


class Run:
    """Plays one profile on one town; `books`, `nemesis` and `watch` hold what came of it."""

    def __init__(self, town: Town, profile: Profile, seed: int, say: Say) -> None:
        self.town, self.profile, self.seed, self.say = town, profile, seed, say
        self.books = Books(profile, seed)
        self.nemesis = Nemesis(town)
        self.watch = Watch(town)
        self.connections: dict[str, list[float]] = {}  # by owner: when it was connected with WhatsApp

    async def play(self) -> None:
        """Talk through the storm, wait until it is quiet, read what both sides have."""
        profile, begun = self.profile, time.monotonic()
        plan = schedule(self.seed, profile.faults, self.town.owners, profile.seconds)
        looking = asyncio.create_task(self.watch.run())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._talk(traffic(self.seed, self.town.chats, profile.each_way, profile.seconds)))
                tasks.create_task(self.nemesis.run(plan))
            self.say("The storm is over; waiting until it is quiet")
            await self.town.sandbox.clear_faults()
            await self._settle()
            await self._read()
            if looking.done():
                await looking  # raises what ended it: nobody has looked on since
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        self.books.seconds = time.monotonic() - begun

    async def _talk(self, sends: list[Send]) -> None:
        begun, town = time.monotonic(), self.town
        for send in sends:
            await asyncio.sleep(begun + send.at - time.monotonic())
            token = send.token
            self.nemesis.spoke(token.owner)
            text = f"{token} and some words more"
            if token.direction is Direction.OUT:
                self.books.ids[token] = town.people[token.owner].say(town.jid(token.contact), text)
            else:
                contact = town.contacts[token.contact]
                self.books.ids[token] = await contact.send_text(to=town.phones[token.owner], text=text)
            self.books.sent[token.direction].append(token)

    def _missing(self) -> int:
        """Count the messages that nobody has seen or heard of yet, as far as it shows without the archives."""
        found = {one.token for seen in self.watch.received.values() for one in seen}
        for person in self.town.people.values():
            found |= {token for shown in person.live() if (token := Token.read(shown.text))}
        found |= set(self._told())
        return sum(token not in found for sent in self.books.sent.values() for token in sent)

    async def _settle(self) -> None:
        """Wait until all is there, or until nothing has changed for a while."""
        end = time.monotonic() + SETTLED
        best, still = len(self.books.ids) + 1, 0.0
        while time.monotonic() < end and still < STILL:
            missing = self._missing() + sum(len(person.outstanding) for person in self.town.people.values())
            if not missing:
                break
            still = still + LOOK if missing >= best else 0.0
            best = min(best, missing)
            await asyncio.sleep(LOOK)
        self.say(f"It is quiet; {self._missing()} of {len(self.books.ids)} messages have not shown up yet")

    def _told(self) -> dict[Token, str]:
        by_id = {id_: token for token, id_ in self.books.ids.items() if token.direction is Direction.OUT}
        people = self.town.people.values()
        return {by_id[id_]: text for person in people for id_, text in person.errors().items() if id_ in by_id}

    async def _read(self) -> None:
        town, books = self.town, self.books
        contacts = {town.jid(contact): contact for contact in town.contacts}
        for owner, person in town.people.items():
            for key, shown in await person.view():
                if token := Token.read(shown.text):
                    books.unarchived += key.startswith("unarchived")
                    place = contacts.get(shown.contact, "nobody")
                    books.seen[Direction.IN].append(Seen(owner, place, Direction.IN, token, key))
            books.resent += person.resent
        for sightings in self.watch.received.values():
            books.seen[Direction.OUT] += sightings
        books.told = self._told()
        for owner in town.owners:
            books.journaled[owner] = await asyncio.to_thread(journaled, town.home(owner) / "store" / "journal.db")
            books.uncertain[owner] = len(town.events(owner, "send_was_uncertain"))
            books.repeated += len(town.events(owner, "message_repeated"))
        books.accepted_late = (await town.sandbox.stats())["counts"].get("accepted_late", 0)


def journaled(file: Path) -> set[str]:
    """Read which of WhatsApp's messages a journal has ever had; read-only, beside the shard that uses it."""
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return {row[0] for row in db.execute("SELECT whatsapp FROM seen WHERE kind = 'message'")}
    finally:
        db.close()


async def played(
    folder: Path, profile: Profile, seed: int, say: Say, *more: Callable[[Town, str, Path], Awaitable[None]]
) -> Run:
    """Build a town of this profile and play it, and then what is to be played `more` there, with one of its owners.

    Gives the run; its town is gone by then.
    """
    chats = neighbours(profile.owners, profile.contacts, profile.chats_each)
    async with inhabited(folder, chats, say) as town:
        run = Run(town, profile, seed, say)
        await run.play()
        run.connections = {owner: town.connections(owner) for owner in town.owners}
        for number, play in enumerate(more):
            await play(town, town.owners[0], folder / f"more-{number}")
        return run
