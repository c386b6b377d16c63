"""Nothing lost, nothing twice: waiting, bounces, fail-over, back-pressure, restarts and kill -9, with real clients."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.shard_stream import ShardStream
from tests.harness.xmpp import logged_in

ALICE, BOB = "alice@example.test", "bob@example.test"
GATEWAY = "whatsapp.example.test"
CONTACT = f"+4915100000001@{GATEWAY}"
CONDITION = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
DELAY = "{urn:xmpp:delay}delay"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A Prosody with two users."""
    async with running_prosody(tmp_path, users={"alice": "pw", "bob": "pw"}) as server:
        yield server


async def waiting(server: Prosody, owner: str = ALICE) -> int:
    """How many stanzas wait or are unacknowledged for an owner."""
    status, state = await server.control("status", owner)
    assert 200 == status
    return int(state["waiting"]) + int(state["unacked"])


async def waits(server: Prosody, *args: str | int, what: str) -> None:
    """Wait until exactly so many stanzas (the last argument) are on their way to the owner (Alice by default)."""
    *owner, expected = args

    async def reached() -> bool:
        return await waiting(server, *map(str, owner)) == expected

    await until(reached, what=what)


async def known_shard(server: Prosody, owner: str = ALICE, epoch: int = 1) -> None:
    """Make the owner one who has a shard that is away at the moment."""
    stream = await ShardStream.open(server, owner=owner, epoch=epoch)
    stream.ack()
    await stream.settled()
    await stream.close()


async def test_keeps_what_comes_while_the_shard_is_away(prosody: Prosody) -> None:
    """Messages wait in order with a delay stamp; of presence the newest; the successor gets them."""
    await known_shard(prosody)
    async with logged_in(prosody, "alice", "pw") as alice:
        for number in range(5):
            alice.say(CONTACT, f"m{number}")
        for show in ("away", "dnd", "xa"):
            alice.send_presence(pto=CONTACT, pshow=show)
        await waits(prosody, 6, what="six stanzas that wait")
        shard = await ShardStream.open(prosody, owner=ALICE, epoch=2, instance="next")
        await shard.until(lambda: len(shard.bodies()) == 5)
        assert [f"m{n}" for n in range(5)] == shard.bodies()
        stamps = [s.find(DELAY) for s in shard.stanzas if s.findtext("body")]
        assert all(s is not None and s.get("from") == GATEWAY for s in stamps)
        await shard.stanza(lambda s: s.findtext("show") == "xa")
        assert ["xa"] == [s.findtext("show") for s in shard.stanzas if s.tag == "presence"]
        await shard.close()


async def test_bounces_what_waited_too_long_and_says_so(tmp_path: Path) -> None:
    """A message and a request come back to the sender with recipient-unavailable; presence is dropped."""
    patience = {"component_shards_queue_age": 2, "component_shards_iq_age": 1, "component_shards_startup_grace": 0.5}
    async with running_prosody(tmp_path, users={"alice": "pw"}, component_options=patience) as server:
        await known_shard(server)
        async with logged_in(server, "alice", "pw") as alice:
            alice.say(CONTACT, "too late", id="late")
            alice.send_presence(pto=CONTACT)
            alice.send_raw(f"<iq type='get' id='q' to='{CONTACT}'><query xmlns='jabber:iq:version'/></iq>")
            error = await alice.message(lambda m: m["type"] == "error")
            assert ("late", CONTACT) == (error["id"], str(error["from"]))
            assert ("wait", "recipient-unavailable") == (error["error"]["type"], error["error"]["condition"])
            assert "nothing was delivered" in error["error"]["text"]
            await waits(server, 0, what="nothing that waits")
            totals = (await server.view())["totals"]
            assert (2, 1) == (totals["bounced_expired"], totals["dropped"])
        shard = await ShardStream.open(server, owner=ALICE, epoch=1)
        await shard.settled()
        assert [] == shard.bodies()
        await shard.close()


async def test_warns_that_an_unacknowledged_message_may_have_been_delivered(tmp_path: Path) -> None:
    """What was written to a shard that then died comes back with a warning, and leaves a gap behind."""
    patience = {"component_shards_queue_age": 1, "component_shards_startup_grace": 0.5}
    async with running_prosody(tmp_path, users={"alice": "pw"}, component_options=patience) as server:
        shard = await ShardStream.open(server, owner=ALICE, epoch=1)
        async with logged_in(server, "alice", "pw") as alice:
            alice.say(CONTACT, "seen?", id="seen")
            await shard.stanza(lambda s: s.findtext("body") == "seen?")
            shard.ack(1)  # the privileges; the message stays unacknowledged
            await shard.settled()
            await shard.abort()
            error = await alice.message(lambda m: m["type"] == "error")
            assert "may have been delivered" in error["error"]["text"]
        again = await ShardStream.open(server, owner=ALICE, epoch=1)
        assert again.session is not None
        assert "3" == again.session.get("next")
        await again.close()


async def test_bounces_at_once_when_an_owner_has_too_much_waiting(tmp_path: Path) -> None:
    """Beyond the bound the sender hears resource-constraint at once; another owner's queue is not concerned."""
    bound = {"component_shards_queue_size": 3}
    users = {"alice": "pw", "bob": "pw"}
    async with running_prosody(tmp_path, users=users, component_options=bound) as server:
        await known_shard(server)
        await known_shard(server, BOB)
        async with logged_in(server, "alice", "pw") as alice, logged_in(server, "bob", "pw") as bob:
            for number in range(5):
                alice.say(CONTACT, str(number), id=f"m{number}")
            bob.say(CONTACT, "mine")
            await alice.until(lambda: len([m for m in alice.messages if m["type"] == "error"]) == 2)
            errors = [(m["id"], m["error"]["condition"]) for m in alice.messages if m["type"] == "error"]
            assert [("m3", "resource-constraint"), ("m4", "resource-constraint")] == errors
            await waits(server, BOB, 1, what="bob's message that waits")
            assert [] == [m for m in bob.messages if m["type"] == "error"]


async def test_holds_back_when_the_window_is_full(tmp_path: Path) -> None:
    """A shard that does not acknowledge gets a window's worth, is asked once, and the rest in order later."""
    async with running_prosody(
        tmp_path, users={"alice": "pw"}, component_options={"component_shards_window": 8}
    ) as server:
        shard = await ShardStream.open(server, owner=ALICE, epoch=1)
        shard.ack(1)
        async with logged_in(server, "alice", "pw") as alice:
            for number in range(30):
                alice.say(CONTACT, f"m{number}")
            await waits(server, 30, what="thirty stanzas on their way")
            await shard.settled()
            assert [f"m{n}" for n in range(8)] == shard.bodies()
            assert 1 == shard.asked
            while len(shard.bodies()) < 30:
                seen = len(shard.bodies())
                shard.ack()
                await shard.until(lambda seen=seen: len(shard.bodies()) > seen)  # type: ignore[misc] # bound at once
            assert [f"m{n}" for n in range(30)] == shard.bodies()
            assert list(range(2, 32)) == [n for n, s in shard.received if s.findtext("body")]
        await shard.close()


async def test_hands_over_to_a_successor_without_loss_or_repeat(prosody: Prosody) -> None:
    """The successor gets the unacknowledged again under the old numbers; a cursor spares it what is durable."""
    first = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with logged_in(prosody, "alice", "pw") as alice:
        for number in range(2, 7):  # 1 is the list of privileges
            alice.say(CONTACT, f"m{number}")
        await first.until(lambda: len(first.bodies()) == 5)
        assert first.session is not None
        gen = first.session.get("gen")
        await first.abort()
        second = await ShardStream.open(prosody, owner=ALICE, epoch=2, cursor=f"{gen}:4")
        await second.until(lambda: len(second.bodies()) == 2)
        assert ["m5", "m6"] == second.bodies()
        assert [5, 6] == [n for n, s in second.received if s.findtext("body")]
        assert second.session is not None
        assert (gen, "5") == (second.session.get("gen"), second.session.get("next"))
        await second.close()


@pytest.mark.parametrize("how", ["restart", "kill", "reload"])
async def test_keeps_everything_over_an_end_of_the_server(prosody: Prosody, how: str) -> None:
    """Window, queue, numbers, generation, count and sequence are there after each way in which Prosody ends."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=7, instance="pod")
    async with logged_in(prosody, "alice", "pw", smacks=True) as alice:
        for number in range(2, 5):
            alice.say(CONTACT, f"m{number}")
        await shard.until(lambda: len(shard.bodies()) == 3)
        shard.say(CONTACT, ALICE, "from the phone", seq=9)
        assert 1 == await shard.settled()
        shard.ack(2)
        await shard.settled()
        await shard.abort()
        for number in range(5, 9):
            alice.say(CONTACT, f"m{number}")
        await alice.taken()
        if how == "kill":
            await prosody.kill()
    if how == "reload":
        await prosody.shell(f"module:reload('component_shards', '{GATEWAY}')")
    elif how == "restart":
        await prosody.restart()
    else:
        await prosody.start()
    assert shard.session is not None
    again = await ShardStream.open(prosody, owner=ALICE, epoch=7, instance="pod", cursor=shard.cursor)
    assert again.session is not None
    told = {k: again.session.get(k) for k in ("gen", "next", "h", "seq")}
    assert {"gen": shard.session.get("gen"), "next": "5", "h": "1", "seq": "9"} == told
    await again.until(lambda: len(again.bodies()) == 4)
    assert [f"m{n}" for n in range(5, 9)] == again.bodies()
    await again.close()


async def test_loses_the_queue_in_memory_mode_and_says_so(tmp_path: Path) -> None:
    """With storage = memory a kill -9 brings a new generation; the fence and the sequence stay; a restart keeps all."""
    memory = {"component_shards_storage": "memory"}
    async with running_prosody(tmp_path, users={"alice": "pw"}, component_options=memory) as server:
        shard = await ShardStream.open(server, owner=ALICE, epoch=7)
        assert shard.session is not None
        gen = shard.session.get("gen")
        shard.say(CONTACT, ALICE, "x", seq=3)
        await shard.settled()
        await shard.abort()
        async with logged_in(server, "alice", "pw") as alice:
            alice.say(CONTACT, "kept")
            await waits(server, 2, what="a message that waits")
        await server.restart()
        shard = await ShardStream.open(server, owner=ALICE, epoch=7)
        assert shard.session is not None
        assert gen == shard.session.get("gen")
        await shard.stanza(lambda s: s.findtext("body") == "kept")
        await shard.abort()
        await server.kill()
        await server.start()
        shard = await ShardStream.open(server, owner=ALICE, epoch=8, cursor=f"{gen}:1")
        assert shard.session is not None
        assert gen != shard.session.get("gen")
        assert ("1", "3") == (shard.session.get("next"), shard.session.get("seq"))
        await shard.close()


async def test_keeps_the_front_desks_stanzas_over_kill_9(prosody: Prosody) -> None:
    """What waits for the front desk is on disk too."""
    desk = await ShardStream.open(prosody, epoch=1)
    await desk.close()
    async with logged_in(prosody, "bob", "pw", smacks=True) as bob:
        bob.say(GATEWAY, "help")
        await bob.taken()
        await prosody.kill()
    await prosody.start()
    desk = await ShardStream.open(prosody, epoch=2)
    await desk.stanza(lambda s: s.findtext("body") == "help")
    await desk.close()


async def test_says_that_the_bridge_is_not_running(tmp_path: Path) -> None:
    """With nobody there after the grace, message and iq come back at once."""
    async with running_prosody(
        tmp_path, users={"bob": "pw"}, component_options={"component_shards_startup_grace": 0.2}
    ) as server:
        await asyncio.sleep(0.3)  # the grace itself
        async with logged_in(server, "bob", "pw") as bob:
            bob.say(GATEWAY, "anybody?")
            error = await bob.message(lambda m: m["type"] == "error")
            assert "The bridge is not running." == error["error"]["text"]


async def test_bounces_reach_a_sender_that_the_bridge_speaks_for(prosody: Prosody) -> None:
    """A privileged message's echo that overflows is bounced by our own host, not by the fake origin."""
    await prosody.stop()
    async with running_prosody(
        prosody.layout.root / "other",
        users={"alice": "pw"},
        component_options={"component_shards_window": 2, "component_shards_queue_size": 1},
    ) as server:
        shard = await ShardStream.open(server, owner=ALICE, epoch=1)
        for number in range(4):
            shard.send(
                f"<message from='{GATEWAY}' to='example.test'><privilege xmlns='urn:xmpp:privilege:2'>"
                f"<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='{ALICE}'"
                f" to='{CONTACT}' id='m{number}'><body>{number}</body></message></forwarded></privilege></message>"
            )
        assert 4 == await shard.settled()
        assert 2 == (await server.view())["totals"]["bounced_overflow"]
        assert "Traceback" not in server.log_text()
        await shard.close()


async def test_chaos_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """The shard is killed and the server is killed at random while messages flow both ways: a set difference of 0."""
    seeded = random.Random(20261123)
    options = {"component_shards_window": 8}
    async with running_prosody(tmp_path, users={"alice": "pw"}, component_options=options) as server:
        store = ShardStore()
        sent: list[str] = []
        for life in range(8):
            async with logged_in(server, "alice", "pw", smacks=True) as alice:
                for _ in range(4):
                    shard = await store.open(server)
                    for _ in range(seeded.randrange(1, 15)):
                        sent.append(f"m{len(sent)}")
                        alice.say(CONTACT, sent[-1], id=sent[-1])
                    store.phone(shard, seeded.randrange(0, 6))
                    await store.work(shard, seeded.randrange(0, 12))
                    await shard.abort()
                    sent.append(f"m{len(sent)}")
                    alice.say(CONTACT, sent[-1], id=sent[-1])
                await alice.taken()
                if life % 2:
                    await server.kill()
            if life % 2:
                await server.start()
        shard = await store.open(server)
        store.phone(shard, 0)
        while await waiting(server):
            await store.work(shard, 8)
            await shard.settled()
        assert sent == store.handled
        await shard.settled()
        async with logged_in(server, "alice", "pw", presence=False) as alice:
            page = "<set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set>"
            contact = (
                "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
                f"<field var='with'><value>{CONTACT}</value></field></x>"
            )
            archived: list[str] = []
            while True:
                seen = len(alice.messages)
                fin = await alice.ask(f"<query xmlns='urn:xmpp:mam:2'>{contact}{page}</query>", kind="set")
                archived += [b for m in alice.messages[seen:] for b in re.findall("<body>(p[0-9]+)</body>", str(m))]
                if "complete" in fin:
                    break
                last = re.search("<last>(.*?)</last>", fin)
                page = (
                    f"<set xmlns='http://jabber.org/protocol/rsm'><max>50</max><after>{last and last[1]}</after></set>"
                )
            assert [f"p{n}" for n in range(1, store.seq + 1)] == archived
        await shard.close()


class ShardStore:
    """What a shard has on disk: its cursor, what it handled (committed together), and its outgoing journal."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.handled: list[str] = []
        self.seq = 0
        self.unsent: dict[int, str] = {}
        self.lives = 0

    async def open(self, server: Prosody) -> ShardStream:
        """The next life of the shard, which first sends again what may not have arrived."""
        self.lives += 1
        stream = await ShardStream.open(
            server, owner=ALICE, epoch=self.lives, instance=str(self.lives), cursor=self.cursor
        )
        if stream.session is None:
            raise AssertionError("a stream with acks has a session")
        highest = int(stream.session.get("seq", "0"))
        self.unsent = {n: body for n, body in self.unsent.items() if n > highest}
        for number, body in sorted(self.unsent.items()):
            stream.say(CONTACT, ALICE, body, id=body, seq=number)
        self._taken = 0
        return stream

    def phone(self, stream: ShardStream, count: int) -> None:
        """The contact writes `count` messages."""
        for _ in range(count):
            self.seq += 1
            self.unsent[self.seq] = f"p{self.seq}"
            stream.say(CONTACT, ALICE, f"p{self.seq}", id=f"p{self.seq}", seq=self.seq)

    async def work(self, stream: ShardStream, count: int) -> None:
        """Handle up to `count` stanzas that are here, each effect together with the cursor; then acknowledge."""
        await stream.settled()
        number: int | None = None
        for number, stanza in stream.received[self._taken : self._taken + count]:
            self._taken += 1
            if stanza.tag == "message" and (body := stanza.findtext("body")):
                self.handled.append(body)
            gen = "" if stream.session is None else stream.session.get("gen", "")
            self.cursor = f"{gen}:{number}"
        if number:
            stream.ack(number)
            await stream.settled()
