"""The worst case for neonize: one account, thousands of messages waiting, a hundred kills just after connecting.

What it loses here is its own limit (docs/features.md); the figures are printed and have no bound, but a loss that
neonize does not explain, or anything doubled, is a fault of ours all the same. `python -m tests.chaos --heavy`.
"""

import asyncio
import random
import ssl
import time
from pathlib import Path
from urllib.request import urlopen

from ponton_bridge.model.states import Reason
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

WAITING = 3000  # messages
KILLS = 100
AFTER = 0.11  # seconds after CONNECTED within which a kill comes, as in the facts that this is compared with
CONNECT = 60.0  # seconds for a shard to be connected
QUIET = 120.0  # seconds for the rest to arrive after the last kill
CHAT = ("o0", "c0")


async def heavy(folder: Path, seed: int, say: Say, waiting: int = WAITING, kills: int = KILLS) -> list[Row]:
    """Play it; gives the rows."""
    dice = random.Random(seed)
    local = OWNER.partition("@")[0]
    async with (
        running_prosody(folder / "prosody", users={local: "pw"}) as prosody,
        running_redis(folder / "redis") as redis,
        running_sandbox(folder) as sandbox,
    ):
        phone = await sandbox.account(push_name="o0", contacts=["c0"])
        contact = await sandbox.contact("c0")
        shard = ShardProcess(prosody, redis.url, sandbox.config_file or Path(), folder)
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
            say(f"{waiting} messages wait")
            struck = [await _strike(shard, dice.uniform(0, AFTER), acknowledged) for _ in range(kills)]
            say(f"{kills} kills are done")
            await shard.start()
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
        return [
            Row("waiting messages", outcome.sent),
            Row("kills just after connecting", len(struck)),
            Row("lost inside neonize", len(outcome.lost)),
            zero("lost in any other way", unexcused(outcome.lost, known, acknowledged.at, {"o0": struck}, has)),
            zero("doubled", outcome.doubled),
            Row("out of order (neonize beyond 2,048 at once)", len(outcome.reordered)),
        ]


async def _strike(shard: ShardProcess, after: float, acknowledged: Acknowledgements) -> float:
    """Start, wait for CONNECTED, and kill so many seconds later; gives the moment of the kill."""
    before = _connected(shard)
    await shard.start()
    await until(lambda: _connected(shard) > before, timeout=CONNECT, what="a connected shard")
    await asyncio.sleep(after)
    moment = time.time()
    await shard.kill()
    await acknowledged.look()  # before the next login pushes them out of the sandbox's trace
    return moment


def _connected(shard: ShardProcess) -> int:
    return sum(event["reason"] == Reason.CONNECTED for event in shard.events("link_changed"))


async def _idle(phone: AccountHandle) -> bool:
    return all(device["connected"] and not device["waiting"] for device in await phone.linked())


def _fetched(url: str, trust: ssl.SSLContext) -> bytes:
    with urlopen(url, context=trust, timeout=10) as answer:  # noqa: S310 - our own server's
        return bytes(answer.read())
