"""A rogue: somebody has copied an account's store and secrets. Whatever is tried with them is refused.

Played on a town at the end of a run, and by a test. Where a copy is exact *and* the true process is away there is
nobody to tell them apart; that the control plane then goes on with the next epoch is what ends it.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shutil import copytree

from ponton_bridge.coordination.client.wire import RedisAway, Wires
from tests.chaos.report import Row, zero
from tests.chaos.town import Town
from tests.harness.prosody import until
from tests.harness.shard_stream import ShardStream, StreamClosedError

END = 60.0  # seconds for a copy to see that it is not wanted
OWN = "rogue"  # an instance of its own
CONNECTIONS = 1


class Copy:
    """Everything of an account's process, as it was at one moment: environment, command line, store, secrets."""

    def __init__(self, town: Town, owner: str, folder: Path) -> None:
        self.pid = town.stage.local.shards()[town.names[owner]]
        self.folder = folder
        proc = Path(f"/proc/{self.pid}")
        self.argv = proc.joinpath("cmdline").read_text().rstrip("\0").split("\0")
        pairs = proc.joinpath("environ").read_text().rstrip("\0").split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs)
        for name in ("store", "secrets"):
            copytree(town.home(owner) / name, folder / name)
        self.environment |= {"PONTON_STORE": str(folder / "store"), "PONTON_SECRETS": str(folder / "secrets")}
        self.epoch = int(self.environment["PONTON_EPOCH"])

    def secret(self, name: str) -> str:
        """Read a copied secret."""
        return (self.folder / "secrets" / name).read_text()

    async def run(self, **changes: str) -> int:
        """Start the shard's program on the copies; gives its exit code, -9 if it had to be killed."""
        with (self.folder / "rogue.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.argv, env=self.environment | changes, cwd="/", stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            async with asyncio.timeout(END):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    def log(self) -> str:
        """All that the copies wrote."""
        return (self.folder / "rogue.log").read_text()


async def rogue(town: Town, owner: str, folder: Path) -> list[Row]:
    """Try a copy beside the true shard, then after it has a successor; then its secrets by hand."""
    await asyncio.to_thread(folder.mkdir, mode=0o700)
    name, local = town.names[owner], town.stage.local
    await until(lambda: name in local.shards() and town.connections(owner), timeout=END, what="a connected shard")
    copy = await asyncio.to_thread(Copy, town, owner, folder / "copy")
    logins = await _logins(town, owner)

    beside = await copy.run(PONTON_INSTANCE=OWN)
    undisturbed = local.shards().get(name) == copy.pid

    killed = time.time()
    with suppress(ProcessLookupError):
        os.kill(copy.pid, signal.SIGKILL)
    await until(lambda: any(moment > killed for moment in town.connections(owner)), timeout=END, what="a successor")
    successor = local.shards()[name]
    behind = await copy.run()

    got_in = await _logins(town, owner) - logins - 1  # the successor's own
    stayed = local.shards().get(name) == successor
    fenced = copy.log().count('"reason":"Fenced","phase"')
    by_hand = await _streams(town, owner, copy) + await _redis(town, copy)
    return [
        zero("copy beside the true shard: exit code", beside),
        Row("the true shard went on", int(undisturbed), "1", undisturbed),
        zero("copy of an old epoch: exit code", behind),
        Row("copies that were fenced, by Prosody or Redis", fenced, "2", fenced == 2),
        Row("the successor went on", int(stayed), "1", stayed),
        zero("copies that started WhatsApp", copy.log().count('"driver_started"')),
        zero("logins at WhatsApp by copies", got_in),
        zero("copied secrets that still open something", by_hand),
    ]


async def _logins(town: Town, owner: str) -> int:
    return sum(device["logins"] for device in await town.phones[owner].linked())


async def _streams(town: Town, owner: str, copy: Copy) -> list[str]:
    """Try the stream's secret at Prosody: for its old epoch, for a newer one, and for somebody else."""
    prosody, secret = town.stage.prosody, copy.secret("component-secret")
    jid = town.people[owner].jid
    other = next((person.jid for local, person in town.people.items() if local != owner), jid)
    tries: Mapping[str, tuple[str, int]] = {
        "old epoch": (jid, copy.epoch),
        "newer epoch": (jid, copy.epoch + 10**9),
        "somebody else": (other, copy.epoch),
    }
    opened = []
    for what, (whose, epoch) in tries.items():
        try:
            stream = await ShardStream.open(
                prosody, owner=whose, epoch=epoch, instance=copy.environment["PONTON_INSTANCE"], secret=secret
            )
        except StreamClosedError:
            continue
        opened.append(what)
        await stream.abort()
    return opened


async def _redis(town: Town, copy: Copy) -> list[str]:
    """Try the copied Redis URL: its password is of the old epoch."""
    wires = Wires(copy.secret("redis-url"), CONNECTIONS)
    try:
        await wires.call("GET", f"ponton:whatsapp:a:{copy.environment['PONTON_ACCOUNT']}:fence")
    except RedisAway as away:
        if away.why != "credentials":
            raise
        return []
    finally:
        await wires.close()
    return ["Redis"]
