"""One account's whole life with the real process: code, scan, roster, messages, kill -9, SIGTERM."""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from xml.etree.ElementTree import Element

import zxingcpp
from PIL import Image
from slixmpp import JID

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.contract import Verb
from ponton_bridge.model.xml import CHATSTATES, MARKERS, el
from ponton_bridge.shard.commands import LINKED_ALREADY
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.redis import RedisServer, running_redis
from tests.harness.shard_process import ACCOUNT, GATEWAY, OWNER, ShardProcess
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import running_sandbox

OOB = "{jabber:x:oob}x/{jabber:x:oob}url"
RECEIVED = "{urn:xmpp:receipts}received"
DISPLAYED = f"{{{MARKERS}}}displayed"
COMPOSING = f"{{{CHATSTATES}}}composing"
SENT_CARBON = "{urn:xmpp:carbons:2}sent"
QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


@dataclass
class World:
    """All that one account needs, and its people."""

    prosody: Prosody
    sandbox: SandboxClient
    redis: RedisServer
    shard: ShardProcess
    phone: AccountHandle
    bob: AccountHandle

    @property
    def bob_jid(self) -> str:
        """Where bob is for alice."""
        return f"{self.bob.number}@{self.prosody.component}"

    async def code(self, alice: Client) -> str:
        """Read the newest code off the picture that alice's client got."""

        def pictures() -> list[str]:
            return [url for m in alice.messages if (url := m.xml.findtext(OOB))]

        await alice.until(pictures, what="a picture of a code")
        context = ssl.create_default_context(cafile=str(self.prosody.ca_file))

        def fetch() -> bytes:
            with urlopen(pictures()[-1], context=context, timeout=10) as answer:  # noqa: S310 - our own server
                return bytes(answer.read())

        image: Image.Image = Image.open(io.BytesIO(await asyncio.to_thread(fetch))).convert("L")
        (found,) = zxingcpp.read_barcodes(image, formats=QR_ONLY)
        return str(found.text)

    async def again(self) -> int:
        """Start the shard once more, as it is; gives its exit code."""
        await self.shard.start()
        return await self.shard.ended()

    async def link(self, alice: Client) -> None:
        """Start the shard, show the code, scan it, wait until it is linked."""
        await self.shard.start()
        await self.phone.scan(await self.code(alice))
        await alice.message(lambda m: m["body"] == "Linked with WhatsApp.")


def find_id(stanza: Element, tag: str) -> str | None:
    """Give the id that a receipt or marker in this message names."""
    found = stanza.find(tag)
    return None if found is None else found.get("id")


def carbons(client: Client) -> list[str | None]:
    """Give the texts of the sent carbons that a client got."""
    sent = (m.xml.find(SENT_CARBON) for m in client.messages)
    return [body.text for carbon in sent if carbon is not None for body in carbon.iter("{jabber:client}body")]


def entry(client: Client, jid: str) -> dict[str, Any]:
    """Give somebody's newest roster entry as it was pushed; {} for nobody."""
    items = [push["roster"]["items"].get(JID(jid), {}) for push in client.roster_pushes]
    return next((dict(item) for item in reversed(items) if item), {})


def removed(client: Client, jid: str) -> bool:
    """Tell whether somebody was taken out of the roster."""
    return entry(client, jid).get("subscription") == "remove"


async def stands(door: DoorClient, reason: str, *, paired: int) -> bool:
    """Tell whether the shard's heartbeat says so."""
    beat = await door.heartbeat(ACCOUNT)
    return beat is not None and (reason, paired, 1) == (beat.reason, beat.paired, beat.xmpp)


@asynccontextmanager
async def world(folder: Path, **changes: str) -> AsyncIterator[World]:
    """Prosody, Redis, sandbox, a phone with bob in its address book, and a shard that is not started yet."""
    async with (
        running_prosody(folder / "prosody", users={"alice": "pw"}) as prosody,
        running_redis(folder / "redis") as redis,
        running_sandbox(folder, fresh_count=100) as sandbox,
    ):
        assert sandbox.config_file is not None
        phone = await sandbox.account("Alice", contacts=["Bob"])
        bob = await sandbox.contact("Bob")
        shard = ShardProcess(prosody, redis.url, sandbox.config_file, folder / "shard", **changes)
        try:
            yield World(prosody, sandbox, redis, shard, phone, bob)
        finally:
            await shard.kill()


async def test_an_account_lives(tmp_path: Path) -> None:
    """Links by the picture, then carries roster, texts, receipts, typing and the phone's own messages."""
    async with world(tmp_path) as here, logged_in(here.prosody, "alice", "pw", carbons=True) as alice:
        await here.link(alice)
        await alice.until(lambda: entry(alice, here.bob_jid), what="bob in the roster")
        bob = entry(alice, here.bob_jid)
        assert ("both", "Bob", ["WhatsApp"]) == (bob["subscription"], bob["name"], bob["groups"])

        sent = await here.bob.send_text(to=here.phone, text="hello alice")
        message = await alice.message(lambda m: m["body"] == "hello alice")
        assert here.bob_jid == message["from"].bare
        marker = alice.make_message(mto=message["from"].bare, mtype="chat")
        marker.xml.append(el("displayed", MARKERS, id_=message["id"]))
        marker.send()
        await here.bob.wait_for("receipt", type="read", ids=[sent])

        stanza_id = alice.say(here.bob_jid, "hello bob")
        await here.bob.wait_for("message", text="hello bob")
        await alice.message(lambda m: find_id(m.xml, RECEIVED) == stanza_id)
        ids = [r["id"] for r in await here.bob.inbox(kinds="message") if r["text"] == "hello bob"]
        await here.bob.read(here.phone, ids)
        await alice.message(lambda m: find_id(m.xml, DISPLAYED) == stanza_id)

        await here.bob.typing(here.phone)
        await alice.message(lambda m: m.xml.find(COMPOSING) is not None and m["from"].bare == here.bob_jid)
        typing = alice.make_message(mto=here.bob_jid, mtype="chat")
        typing.xml.append(el("composing", CHATSTATES))
        typing.send()
        await here.bob.wait_for("chatstate", state="composing")

        await here.phone.send_from_phone(here.bob, "typed on the phone")
        await alice.until(lambda: "typed on the phone" in carbons(alice), what="a sent carbon")
        assert 0 == await here.shard.stop()
        assert "told" == here.shard.events("shard_stopped")[-1]["reason"]


async def test_goes_on_after_kill_9(tmp_path: Path) -> None:
    """Loses nothing and doubles nothing of what either side sends while the shard is dead."""
    async with world(tmp_path) as here, logged_in(here.prosody, "alice", "pw") as alice:
        await here.link(alice)
        alice.say(here.bob_jid, "0")
        await here.bob.wait_for("message", text="0")
        await here.bob.send_text(to=here.phone, text="0")
        await alice.message(lambda m: m["body"] == "0")
        await here.shard.kill()
        for number in range(1, 6):
            alice.say(here.bob_jid, str(number))
            await here.bob.send_text(to=here.phone, text=str(number))
        await here.shard.start()
        wanted = [str(number) for number in range(6)]
        assert wanted == await here.bob.texts(6)
        await alice.until(lambda: len(alice.bodies(here.bob_jid)) >= 6, timeout=20)
        assert wanted == alice.bodies(here.bob_jid)
        assert 1 == len(here.shard.events("code_shown"))


async def test_is_killed_again_and_again(tmp_path: Path) -> None:
    """Brings every message of the owner over in order through five kills; one under way may come a second time."""
    async with world(tmp_path, PONTON_SEND_PER_MINUTE="0") as here, logged_in(here.prosody, "alice", "pw") as alice:
        await here.link(alice)
        total, kills = 100, 5
        for number in range(total):
            alice.say(here.bob_jid, f"{number:03}")
            if number % (total // kills) == 7:
                await here.shard.kill()
                await here.shard.start()
            await asyncio.sleep(0.01)
        await here.bob.wait_for("message", text=f"{total - 1:03}", patience=40)
        texts = [r["text"] for r in await here.bob.inbox(kinds="message")]
        assert [f"{number:03}" for number in range(total)] == list(dict.fromkeys(texts))
        assert len(texts) - total <= kills
        assert [] == [m["body"] for m in alice.messages if m["type"] == "error"]


async def test_drains_when_it_is_told_to_end(tmp_path: Path) -> None:
    """Ends with 0 in the middle of two conversations; its successor, of the next epoch, goes on where it was.

    Two contacts, because whatsmeow sometimes garbles a session in which both sides speak at once (a retry heals it,
    out of order): that is not what is tested here.
    """
    async with world(tmp_path, PONTON_SEND_PER_MINUTE="0") as here, logged_in(here.prosody, "alice", "pw") as alice:
        carol = await here.sandbox.contact("Carol")
        await here.link(alice)
        for number in range(50):
            alice.say(f"{carol.number}@{here.prosody.component}", f"{number:03}")
        await here.bob.burst(here.phone, 50)
        assert 0 == await here.shard.stop()
        here.shard.epoch, here.shard.instance = 2, "instance-2"
        await here.shard.start()
        assert [f"{number:03}" for number in range(50)] == await carol.texts(50)
        await alice.until(lambda: len(alice.bodies(here.bob_jid)) >= 50, timeout=20)
        assert [str(number) for number in range(50)] == alice.bodies(here.bob_jid)


async def test_keeps_the_whatsapp_link_while_the_xmpp_server_restarts(tmp_path: Path) -> None:
    """Goes on after a restart of Prosody without a new login at WhatsApp, and brings what came meanwhile."""
    async with world(tmp_path) as here:
        async with logged_in(here.prosody, "alice", "pw") as alice:
            await here.link(alice)
        (before,) = await here.phone.linked()
        await here.prosody.stop()
        await here.bob.send_text(to=here.phone, text="while you were away")
        await here.prosody.start()
        async with logged_in(here.prosody, "alice", "pw") as alice:
            await alice.message(lambda m: m["body"] == "while you were away")
        (after,) = await here.phone.linked()
        assert before["logins"] == after["logins"]


async def test_links_by_eight_letters_and_unlinks(tmp_path: Path) -> None:
    """Gives a door the letters for a phone, links, and on unlinking removes device, keys and roster entries."""
    async with world(tmp_path) as here, logged_in(here.prosody, "alice", "pw") as alice:
        await here.shard.start()
        door = DoorClient(here.redis.url, GATEWAY)
        try:
            result = await door.command(ACCOUNT, Verb.PAIR_PHONE, here.phone.number.removeprefix("+"), 20.0, 60.0)
            assert result is not None
            assert 1 == result.ok
            letters = result.value
            await alice.message(lambda m: letters in m["body"])
            await here.phone.type_code(letters)
            await alice.message(lambda m: m["body"] == "Linked with WhatsApp.")
            await alice.until(lambda: entry(alice, here.bob_jid), what="bob in the roster")
            again = await door.command(ACCOUNT, Verb.PAIR_PHONE, "4915112345678", 10.0, 60.0)
            assert again is not None
            assert (0, LINKED_ALREADY) == (again.ok, again.sentence)

            result = await door.command(ACCOUNT, Verb.UNLINK, "forget", 20.0, 60.0)
            assert result is not None
            assert 1 == result.ok
            assert [] == await here.phone.linked()
            assert [] == list(here.shard.store.glob("whatsapp.db*"))
            await alice.until(lambda: removed(alice, here.bob_jid) and removed(alice, here.prosody.component))
            await until(lambda: stands(door, "Unlinked", paired=0))
        finally:
            await door.close()


async def test_starts_without_redis(tmp_path: Path) -> None:
    """Links and carries messages with Redis away, and says how it is once Redis is there."""
    async with world(tmp_path) as here, logged_in(here.prosody, "alice", "pw") as alice:
        await here.redis.stop()
        await here.link(alice)
        await here.bob.send_text(to=here.phone, text="without redis")
        await alice.message(lambda m: m["body"] == "without redis")
        await here.redis.start()
        door = DoorClient(here.redis.url, GATEWAY)
        try:
            await until(lambda: stands(door, "Connected", paired=1), timeout=30)
        finally:
            await door.close()


async def test_ends_for_good_when_it_is_fenced(tmp_path: Path) -> None:
    """Stops with 0 and lets go of WhatsApp when a newer epoch appears, and says why it ended."""
    async with world(tmp_path) as here, logged_in(here.prosody, "alice", "pw") as alice:
        await here.link(alice)
        status, _ = await here.prosody.control("assign", OWNER, 2)
        assert 200 == status
        assert 0 == await here.shard.ended()
        assert "Fenced" == here.shard.events("shard_stopped")[-1]["reason"]
        left = json.loads((here.shard.store / "last-state.json").read_text())
        assert ("Fenced", 1, "instance-1") == (left["reason"], left["epoch"], left["instance"])
        (device,) = await here.phone.linked()
        assert not device["connected"]
        assert 0 == await here.again()  # a late start of the old epoch ends the same way


async def test_says_nothing_about_people_in_its_log(tmp_path: Path) -> None:
    """Writes no JID, number, code, name or text of a whole conversation into the log."""
    async with world(tmp_path, PONTON_LOG_LEVEL="debug") as here, logged_in(here.prosody, "alice", "pw") as alice:
        await here.link(alice)
        alice.say(here.bob_jid, "canary one")
        await here.bob.wait_for("message", text="canary one")
        await here.bob.send_text(to=here.phone, text="canary two")
        await alice.message(lambda m: m["body"] == "canary two")
        alice.say("123@" + here.prosody.component, "canary three")
        await alice.message(lambda m: m["type"] == "error")
        assert 0 == await here.shard.stop()
        log = here.shard.log()
        people = (
            "canary",
            "alice",
            "Bob",
            here.bob.number[1:],
            here.phone.number[1:],
            here.bob.lid,
            "2@",
            "example.test",
        )
        assert [] == [word for word in people if word in log]
        assert "shard_stopped" in log
