"""What mod_component_shards costs Prosody, against the stock component in the same run.

    python -m tests.bench.component_shards [--rounds 6] [--messages 10000] [--idle 2000]

Prints CPU per message (user -> component, component -> user) for the stock mod_component and for a shard with
acks and the journal on disk, as medians and as the best of alternating rounds, with their ratio; and memory per idle
shard.
Compare only within one run: a busy machine changes absolute figures by a factor of two.
"""

import argparse
import asyncio
import base64
import hashlib
import re
import statistics
import tempfile
from pathlib import Path

from tests.harness.prosody import Prosody, free_ports, running_prosody
from tests.harness.prosody_config import Options
from tests.harness.shard_stream import ShardStream

BODY = "x" * 108  # bytes; the length that the first measurements used
ACK_EVERY = 64  # stanzas; a quarter of the default window
STOCK = "stock.example.test"
STREAM = "xmlns:stream='http://etherx.jabber.org/streams'"


class Wire:
    """A raw XMPP connection that counts messages instead of parsing them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    @classmethod
    async def open(cls, port: int) -> "Wire":
        """Connect to a port of 127.0.0.1."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def talk(self, text: str, until: str) -> bytes:
        """Send `text` and read until `until` was seen."""
        self.writer.write(text.encode())
        seen = b""
        while until.encode() not in seen:
            data = await self.reader.read(65536)
            if not data:
                raise ConnectionError(seen.decode())
            seen += data
        return seen

    async def count(self, wanted: int, acknowledge: int | None = None) -> None:
        """Read until `wanted` messages came; acknowledge from number `acknowledge` on when it is given."""
        got = told = 0
        while got < wanted:
            data = await self.reader.read(1 << 18)
            if not data:
                raise ConnectionError("the stream ended")
            text = self._rest + data
            got += text.count(b"</message>")
            cut = text.rfind(b"</message>")
            self._rest = text[cut + 10 :] if cut >= 0 else text
            if acknowledge is not None and (got - told >= ACK_EVERY or got >= wanted):
                told = got
                self.writer.write(f"<a xmlns='urn:xmpp:sm:3' h='{acknowledge + got - 1}'/>".encode())
        self._rest = b""


async def user(server: Prosody) -> Wire:
    """A client of alice without TLS, compression or stream management."""
    wire = await Wire.open(server.ports.c2s)
    head = f"<stream:stream xmlns='jabber:client' {STREAM} to='{server.domain}' version='1.0'>"
    await wire.talk(head, "</stream:features>")
    proof = base64.b64encode(b"\0alice\0pw").decode()
    await wire.talk(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>", "<success")
    await wire.talk(head, "</stream:features>")
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind>"
    await wire.talk(f"<iq type='set' id='b'>{bind}</iq>", "</iq>")
    return wire


async def stock_component(port: int) -> Wire:
    """The stock component's stream."""
    wire = await Wire.open(port)
    head = await wire.talk(f"<stream:stream xmlns='jabber:component:accept' {STREAM} to='{STOCK}'>", "id='")
    return await _prove(wire, head, "stock")


async def shard(server: Prosody) -> tuple[Wire, int]:
    """A shard's stream with acks, and the number of the next stanza that it gets."""
    wire = await Wire.open(server.ports.shards)
    head = await wire.talk(
        f"<stream:stream xmlns='jabber:component:accept' {STREAM} xmlns:sh='urn:component-shards:1'"
        f" to='{server.component}' from='alice@{server.domain}' sh:epoch='1' sh:acks='1' sh:instance='bench'>",
        "id='",
    )
    await _prove(wire, head, server.shard_secret(f"alice@{server.domain}", 1))
    seen = await wire.talk("<r xmlns='urn:xmpp:sm:3'/>", "<a ")
    match = re.search(rb"next='(\d+)'", seen)
    number = int(match[1]) if match else 1
    return wire, number + seen.count(b"<message")


async def _prove(wire: Wire, head: bytes, secret: str) -> Wire:
    match = re.search(rb" id='([^']+)'", head)
    stream_id = match[1].decode() if match else ""
    token = hashlib.sha1(f"{stream_id}{secret}".encode()).hexdigest()  # noqa: S324 - XEP-0114 wants SHA-1
    await wire.talk(f"<handshake>{token}</handshake>", "<handshake/>")
    return wire


class Course:
    """Messages on their way from one wire to another, `batch` at a time (a flood when that is all of them)."""

    def __init__(self, server: Prosody, messages: int, batch: int) -> None:
        self._server = server
        self._messages = messages
        self._batch = batch

    async def run(self, source: Wire, target: Wire, text: str, number: int | None = None) -> float:
        """Prosody's CPU microseconds per message; `number` is the first one's, if the target acknowledges."""
        before = self._server.cpu_seconds()
        for start in range(0, self._messages, self._batch):
            count = min(self._batch, self._messages - start)
            receiving = asyncio.ensure_future(target.count(count, None if number is None else number + start))
            source.writer.write((text * count).encode())
            await asyncio.wait_for(receiving, 120)
        return (self._server.cpu_seconds() - before) / self._messages * 1e6


async def routing(server: Prosody, stock_port: int, rounds: int, course: Course, messages: int) -> None:
    """Alternate stock and shard, both ways."""
    alice = await user(server)
    stock = await stock_component(stock_port)
    pod, number = await shard(server)
    there = f"<message type='chat' to='c@{{}}' id='m'><body>{BODY}</body></message>"
    back = (
        f"<message type='chat' from='c@{{}}/wa' to='alice@{server.domain}/bench' id='m'><body>{BODY}</body></message>"
    )
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for kind, wire, domain in (("stock", stock, STOCK), ("shard", pod, server.component)):
            first = number if kind == "shard" else None
            cost = await course.run(alice, wire, there.format(domain), first)
            figures.setdefault((kind, "user -> component"), []).append(cost)
            number += messages if kind == "shard" else 0
            cost = await course.run(wire, alice, back.format(domain))
            figures.setdefault((kind, "component -> user"), []).append(cost)
    for way in ("user -> component", "component -> user"):
        for name, of in (("median", statistics.median), ("best", min)):
            stock_cost, shard_cost = (of(figures[kind, way]) for kind in ("stock", "shard"))
            print(  # noqa: T201 - this is a command
                f"{way} ({name}): stock {stock_cost:.1f} us, shard {shard_cost:.1f} us CPU a message"
                f" ({(shard_cost / stock_cost - 1) * 100:+.0f} %)"
            )


async def idle(server: Prosody, count: int) -> None:
    """Memory and CPU of `count` shards that do nothing."""
    before, cpu = server.rss_bytes(), server.cpu_seconds()
    streams = [await ShardStream.open(server, owner=f"u{n}@{server.domain}", epoch=1) for n in range(count)]
    connect = (server.cpu_seconds() - cpu) / count
    await asyncio.sleep(2)
    each = (server.rss_bytes() - before) / count
    cpu = server.cpu_seconds()
    await asyncio.sleep(5)
    busy = (server.cpu_seconds() - cpu) / 5 * 100
    print(  # noqa: T201 - this is a command
        f"{count} idle shards: {each / 1024:.1f} KiB each, {connect * 1000:.2f} ms CPU to connect,"
        f" {busy:.1f} % CPU idle"
    )
    for stream in streams:
        await stream.abort()


async def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=128, help="messages sent before the first must have arrived")
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--storage", choices=("disk", "memory"), default="disk")
    arguments = parser.parse_args()
    stock_port = free_ports(1)[0]
    options = Options(
        everywhere={
            "c2s_require_encryption": False,
            "allow_unencrypted_plain_auth": True,
            "component_ports": [stock_port],
            "component_interfaces": ["127.0.0.1"],
        },
        component={
            "component_shards_storage": arguments.storage,
            "component_shards_rate": 1e9,
            "component_shards_burst": 1e9,
            "component_shards_queue_size": 1e9,
            "component_shards_queue_bytes": 1e12,
        },
        without_modules=("carbons", "smacks", "mam", "pep", "bookmarks", "blocklist", "csi_simple", "vcard_legacy"),
        more=f'Component "{STOCK}"\ncomponent_secret = "stock"\n',
    )
    with tempfile.TemporaryDirectory() as folder:
        async with running_prosody(Path(folder), users={"alice": "pw"}, options=options) as server:
            course = Course(server, arguments.messages, arguments.batch)
            await routing(server, stock_port, arguments.rounds, course, arguments.messages)
            totals = (await server.view())["totals"]
            print(f"of {totals['routed_in']} stanzas {totals['queued']} had to wait for the window")  # noqa: T201 - this is a command
            await server.restart()
            if arguments.idle:
                await idle(server, arguments.idle)


if __name__ == "__main__":
    asyncio.run(main())
