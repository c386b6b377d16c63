"""The shard's stream against a real Prosody with mod_component_shards: fencing, loss, restart, TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from ponton_bridge.model.xml import CLIENT, PING, el, text_of
from ponton_bridge.xmpp.connection import StreamError
from ponton_bridge.xmpp.stream import Arrived, Closed, Opened, RequestRefused, ShardStream, StreamSettings
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.xmpp import logged_in

T = TypeVar("T")
OWNER = "alice@example.test"
CONTACT = "+4915112345678@whatsapp.example.test"


class Shard:
    """A stream, the rows that it still has to bring over, and what came in."""

    def __init__(self, settings: StreamSettings, cursor: tuple[str, int]) -> None:
        self.covered = 0
        self.stream = ShardStream(settings, cursor, covered=self._cover, random=lambda: 0.2)
        self.task = asyncio.create_task(self.stream.run())

    def _cover(self, seq: int) -> None:
        self.covered = max(self.covered, seq)

    async def event(self, kind: type[T]) -> T:
        """Give the next event of a kind; others are skipped."""
        async with asyncio.timeout(15):
            while True:
                found = await self.stream.inbox.get()
                if isinstance(found, kind):
                    return found

    async def message(self) -> tuple[Arrived, str]:
        """Give the next message with a body."""
        while True:
            arrived = await self.event(Arrived)
            body = text_of(arrived.stanza, "body", CLIENT)
            if body is not None:
                return arrived, body
            self.stream.done(arrived.ticket)

    def say(self, body: str, seq: int | None = None) -> None:
        """Write a message of the contact to the owner."""
        message = el("message", CLIENT, el("body", CLIENT, body), to=OWNER, from_=CONTACT, type_="chat", id_=f"m{body}")
        self.stream.write(message, seq)


@asynccontextmanager
async def shard(
    prosody: Prosody, epoch: int = 1, instance: str = "i", cursor: tuple[str, int] = ("", 0), *, tls: bool = False
) -> AsyncIterator[Shard]:
    """Run a stream of alice's shard."""
    port, ca = (prosody.ports.shards_tls, prosody.ca_file) if tls else (prosody.ports.shards, None)
    secret = prosody.shard_secret(OWNER, epoch)
    made = Shard(StreamSettings(prosody.component, OWNER, epoch, instance, secret, "127.0.0.1", port, ca), cursor)
    try:
        yield made
    finally:
        made.task.cancel()
        with suppress(asyncio.CancelledError):
            await made.task


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with alice."""
    async with running_prosody(tmp_path, users={"alice": "pw"}) as server:
        yield server


async def test_messages_go_both_ways(prosody: Prosody) -> None:
    """Carries a message each way, covers the row and acknowledges the stanza."""
    async with shard(prosody) as ours, logged_in(prosody, "alice", "pw") as alice:
        await ours.event(Opened)
        ours.say("one", 1)
        ours.stream.ask()
        assert "one" == (await alice.message(lambda m: m["from"].bare == CONTACT))["body"]
        await until(lambda: ours.covered == 1)
        alice.say(CONTACT, "two")
        arrived, body = await ours.message()
        assert "two" == body
        ours.stream.done(arrived.ticket)
        await until(lambda: ours.stream.uncovered == 0)

        async def acknowledged() -> bool:
            (record,) = (await prosody.view())["shards"]
            return bool(record["unacked"] == 0)

        await until(acknowledged)


async def test_the_sequence_number_stops_at_the_server(prosody: Prosody) -> None:
    """Never shows a client the bridge's own element, and never a row twice."""
    async with logged_in(prosody, "alice", "pw") as alice:
        async with shard(prosody, instance="one") as ours:
            await ours.event(Opened)
            ours.say("1", 1)
            ours.say("2", 2)
            ours.stream.ask()
            await until(lambda: ours.covered == 2)
        async with shard(prosody, epoch=2, instance="two") as ours:
            assert 2 == (await ours.event(Opened)).seq
            for seq in (1, 2, 3):
                ours.say(str(seq), seq)
            message = await alice.message(lambda m: m["body"] == "3")
        assert ["1", "2", "3"] == alice.bodies(CONTACT)
        assert "component-shards" not in str(message)


async def test_a_newer_epoch_ends_the_older_for_good(prosody: Prosody) -> None:
    """Stops the old shard at once, and a late one of the old epoch at its first try."""
    async with shard(prosody, epoch=1) as old:
        await old.event(Opened)
        async with shard(prosody, epoch=2) as new:
            await new.event(Opened)
            ended = await asyncio.wait_for(old.task, 10)
            assert isinstance(ended, StreamError)
            assert "conflict" == ended.condition
        async with shard(prosody, epoch=1, instance="late") as late:
            ended = await asyncio.wait_for(late.task, 10)
            assert isinstance(ended, StreamError)
            assert "conflict" == ended.condition


async def test_a_restarted_process_replaces_its_dead_self(prosody: Prosody) -> None:
    """Takes over from a connection of the same instance that nobody has closed."""
    async with shard(prosody, instance="pod") as first:
        await first.event(Opened)
        async with shard(prosody, instance="pod") as second:
            await second.event(Opened)
            await asyncio.wait_for(first.task, 10)
            assert second.stream.session is not None


async def test_goes_on_after_a_restart_of_the_server(prosody: Prosody) -> None:
    """Comes back by itself, with everything that either side had not heard of."""
    async with shard(prosody) as ours:
        async with logged_in(prosody, "alice", "pw") as alice:
            await ours.event(Opened)
            alice.say(CONTACT, "before")
            undone, _ = await ours.message()
        await prosody.restart()
        assert (await ours.event(Closed)).opened
        await ours.event(Opened)
        ours.stream.done(undone.ticket)
        async with logged_in(prosody, "alice", "pw") as alice:
            alice.say(CONTACT, "after")
            assert "after" == (await ours.message())[1]


async def test_survives_kill_9_of_the_server(prosody: Prosody) -> None:
    """Writes its uncovered rows again after the server was killed; the owner sees each once."""
    async with shard(prosody) as ours:
        await ours.event(Opened)
        ours.say("1", 1)
        ours.stream.ask()
        await until(lambda: ours.covered == 1)
        await prosody.kill()
        await prosody.start()
        opened = await ours.event(Opened)
        assert 1 == opened.seq
        ours.say("1", 1)
        ours.say("2", 2)
        async with logged_in(prosody, "alice", "pw") as alice:
            await alice.message(lambda m: m["body"] == "2")
            assert ["1", "2"] == alice.bodies(CONTACT)


async def test_a_fresh_process_takes_what_the_dead_one_had_not_kept(prosody: Prosody) -> None:
    """Gets again what was not acknowledged, and not what the journal's cursor covers."""
    async with logged_in(prosody, "alice", "pw") as alice:
        async with shard(prosody, instance="pod") as first:
            gen = (await first.event(Opened)).gen
            for body in ("a", "b", "c"):
                alice.say(CONTACT, body)
            taken = [await first.message() for _ in range(3)]
        kept = taken[1][0].ticket.number
        async with shard(prosody, instance="pod", cursor=(gen, kept)) as second:
            arrived, body = await second.message()
            assert ("c", kept + 1) == (body, arrived.ticket.number)


async def test_direct_tls_checks_the_domain(prosody: Prosody) -> None:
    """Opens over TLS with a certificate for the component's domain and by the given CA alone."""
    async with shard(prosody, tls=True) as ours:
        await ours.event(Opened)
    secret = prosody.shard_secret(OWNER, 1)
    stranger = StreamSettings(
        prosody.component,
        OWNER,
        1,
        "i",
        secret,
        "127.0.0.1",
        prosody.ports.shards_tls,
        Path("/etc/ssl/certs/ca-certificates.crt"),
    )
    refused = Shard(stranger, ("", 0))
    assert "tls-failed" == (await refused.event(Closed)).condition
    refused.task.cancel()


async def test_asks_the_server_and_the_owner(prosody: Prosody) -> None:
    """Gets answers of the owner's server, to whatever address it asks from."""
    async with shard(prosody) as ours:
        await ours.event(Opened)
        for sender in (prosody.component, CONTACT):
            ping = el("iq", CLIENT, el("ping", PING), type_="get", to=prosody.domain, from_=sender)
            answer = await ours.stream.request(ping)
            assert ("result", sender) == (answer.get("type"), answer.get("to"))
        with pytest.raises(RequestRefused) as refused:
            await ours.stream.request(el("iq", CLIENT, el("x", "urn:x"), type_="get", to=prosody.domain, from_=CONTACT))
        assert "service-unavailable" == refused.value.refusal


async def test_what_the_server_forbids_does_not_end_the_stream(prosody: Prosody) -> None:
    """Stays open when a stanza to somebody else is refused."""
    async with shard(prosody) as ours:
        await ours.event(Opened)
        ours.stream.write(
            el("message", CLIENT, el("body", CLIENT, "x"), to="bob@example.test", from_=CONTACT, id_="f"), 1
        )
        ours.stream.ask()
        await until(lambda: ours.covered == 1)
        arrived = await ours.event(Arrived)
        while arrived.stanza.get("id") != "f":
            arrived = await ours.event(Arrived)
        assert "error" == arrived.stanza.get("type")
        assert ours.stream.session is not None


async def test_a_thousand_messages_stay_in_order(prosody: Prosody) -> None:
    """Brings over a burst in order, through the server's window and its rate limit."""
    total = 1000
    async with shard(prosody) as ours, logged_in(prosody, "alice", "pw") as alice:
        opened = await ours.event(Opened)
        for seq in range(1, total + 1):
            assert await ours.stream.writable(opened)
            ours.say(str(seq), seq)
        ours.stream.ask()
        for number in range(total):
            if number % 200 == 0:  # more at once than the server keeps for a shard would be bounced, as it should
                for one in range(number, number + 200):
                    alice.say(CONTACT, str(one))
            arrived, body = await ours.message()
            assert str(number) == body
            ours.stream.done(arrived.ticket)
        await alice.until(lambda: len(alice.bodies(CONTACT)) >= total, timeout=30)
        assert [str(seq) for seq in range(1, total + 1)] == alice.bodies(CONTACT)
        await until(lambda: ours.covered == total)
