"""The worst case for a WhatsApp library: thousands of messages waiting, a hundred kills just after connecting.

With the core nothing may be lost, doubled or out of order, whether the core, the shard or both are killed. What
neonize loses here is its own limit (docs/features.md); its figures are printed beside and have no bound, but a loss
that neonize does not explain, or anything doubled, is a fault of ours all the same. `python -m tests.chaos --heavy`.
"""

import asyncio
import contextlib
import os
import random
import signal
import ssl
import time
from enum import StrEnum
from itertools import cycle, islice
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp.core_driver import place
from tests.chaos.history import Direction, Seen, Token, judge, unexcused
from tests.chaos.person import Person
from tests.chaos.report import Row, zero
from tests.chaos.run import journaled
from tests.chaos.watch import Acknowledgements
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.story import OOB
from tests.harness.prosody import running_prosody, until
from tests.harness.redis import running_redis
from tests.harness.shard_process import OWNER, ShardProcess
from tests.sandbox.client import AccountHandle
from tests.sandbox.harness import running_sandbox

WAITING = 3000  # messages, for each of VICTIMS
KILLS = 100  # of each
AFTER = 0.11  # seconds after CONNECTED within which a kill comes, as in the facts that this is compared with
CONNECT = 60.0  # seconds for a shard to be connected
QUIET = 120.0  # seconds for the rest to arrive after the last kill
CHAT = ("o0", "c0")


class Victim(StrEnum):
    """What is killed."""

    SHARD = "shard"  # a core ends with it
    CORE = "core"
    BOTH = "both at once"


# In turn: a core that is killed again and again by itself is given longer and longer pauses.
VICTIMS: Final = {place.CORE: tuple(Victim), place.NEONIZE: (Victim.SHARD,)}


async def heavy(
    folder: Path, seed: int, say: Say, driver: str, waiting: int = WAITING, kills: int = KILLS
) -> list[Row]:
    """Play it with one driver, so many messages and kills for each of what there is to kill; gives the rows."""
    victims = VICTIMS[driver]
    waiting, kills = waiting * len(victims), kills * len(victims)
    dice = random.Random(seed)
    local = OWNER.partition("@")[0]
    async with (
        running_prosody(folder / "prosody", users={local: "pw"}) as prosody,
        running_redis(folder / "redis") as redis,
        running_sandbox(folder) as sandbox,
    ):
        phone = await sandbox.account(push_name="o0", contacts=["c0"])
        contact = await sandbox.contact("c0")
        shard = ShardProcess(prosody, redis.url, sandbox.config_file or Path(), folder, PONTON_WHATSAPP=driver)
        person = Person(prosody, local, "pw")
        online = asyncio.create_task(person.run())
        acknowledged = Acknowledgements(sandbox, {"o0": phone})
        try:
            await until(lambda: person.client is not None, timeout=CONNECT, what="a client online")
            assert person.client is not None
            await shard.start()
            shown = await person.client.message(lambda m: m.xml.find(OOB) is not None, timeout=CONNECT)
            trust = ssl.create_default_context(cafile=str(prosody.ca_file))
            content = await asyncio.to_thread(_fetched, str(shown["body"]), trust)
            await phone.synced(await phone.scan(picture.read(content)))
            await shard.stop()
            ids = await contact.burst(to=phone, count=waiting, prefix="in-o0-c0-")
            say(f"{waiting} messages wait for {driver}")
            storm = Storm(shard, acknowledged)
            for victim in islice(cycle(victims), kills):
                await storm.strike(victim, dice.uniform(0, AFTER))
            say(f"{kills} kills are done")
            await storm.connected()
            await until(lambda: _idle(phone), timeout=QUIET, what="an empty outbox at WhatsApp")
            assert 0 == await shard.stop()  # which brings over what is journaled
            view = [(key, token) for key, one in await person.view() if (token := Token.read(one.text))]
        finally:
            online.cancel()
            await asyncio.gather(online, return_exceptions=True)
            await shard.kill()
        sent = [Token(Direction.IN, *CHAT, n) for n in range(waiting)]
        outcome = judge(sent, [Seen(*CHAT, Direction.IN, token, key) for key, token in view], ())
        known = dict(zip(sent, ids, strict=True))
        has = {"o0": await asyncio.to_thread(journaled, shard.store / "journal.db")}
        excused = {"o0": storm.struck}
        if driver == place.CORE:
            own = [zero("core: lost", outcome.lost), zero("core: out of order", outcome.reordered)]
        else:
            own = [
                Row("neonize: lost inside neonize", len(outcome.lost)),
                zero("neonize: lost in any other way", unexcused(outcome.lost, known, acknowledged.at, excused, has)),
                Row("neonize: out of order (beyond 2,048 at once)", len(outcome.reordered)),
            ]
        return [
            Row(f"{driver}: waiting messages", outcome.sent),
            Row(f"{driver}: kills of {', '.join(victims)}, just after connecting", len(storm.struck)),
            *own,
            zero(f"{driver}: doubled", outcome.doubled),
        ]


class Storm:
    """The kills of one shard; `struck` has their moments."""

    def __init__(self, shard: ShardProcess, acknowledged: Acknowledgements) -> None:
        self.struck: list[float] = []
        self._shard, self._acknowledged = shard, acknowledged
        self._running = False
        self._seen = 0  # times that the shard had been connected when it was struck

    async def connected(self) -> None:
        """Start the shard unless it runs, and wait for CONNECTED."""
        if not self._running:
            self._seen = _connected(self._shard)
            await self._shard.start()
            self._running = True
        await until(lambda: _connected(self._shard) > self._seen, timeout=CONNECT, what="a connected shard")

    async def strike(self, victim: Victim, after: float) -> None:
        """Wait for CONNECTED, and kill so many seconds later."""
        await self.connected()
        await asyncio.sleep(after)
        self._seen = _connected(self._shard)
        self.struck.append(time.time())
        if victim is not Victim.SHARD:
            _kill_children(self._shard.pid)
        if victim is not Victim.CORE:
            await self._shard.kill()
            self._running = False
        await self._acknowledged.look()  # before the next login pushes them out of the sandbox's trace


def _kill_children(shard: int) -> None:
    for child in Path(f"/proc/{shard}/task/{shard}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


def _connected(shard: ShardProcess) -> int:
    return sum(event["reason"] == Reason.CONNECTED for event in shard.events("link_changed"))


async def _idle(phone: AccountHandle) -> bool:
    return all(device["connected"] and not device["waiting"] for device in await phone.linked())


def _fetched(url: str, trust: ssl.SSLContext) -> bytes:
    with urlopen(url, context=trust, timeout=10) as answer:  # noqa: S310 - our own server's
        return bytes(answer.read())
