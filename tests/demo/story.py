"""The demo that plays itself: a scripted owner goes the whole way, and every step is checked.

Called by `__main__` for `make demo AUTO=1` and by the end-to-end tests, on one machine and on a cluster: the scene is
what differs. Raises AssertionError where the story breaks.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from slixmpp import JID

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp.core_driver import place
from tests.demo import page, picture
from tests.demo.say import Say
from tests.harness.prosody import until
from tests.harness.visitor import visitor
from tests.harness.xmpp import Client
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.launch import driver

OOB = "{jabber:x:oob}x/{jabber:x:oob}url"
RECEIVED = "{urn:xmpp:receipts}received"
MESSAGES_IN_THE_CRASH = 10
PATIENCE = 60.0  # seconds for what a cluster does step by step; on one machine each takes less than one


class Scene(Protocol):
    """Where it is played: a running system with one owner, who is not registered yet."""

    @property
    def domain(self) -> str:
        """Of the XMPP server."""

    @property
    def gateway(self) -> str:
        """The gateway's domain."""

    @property
    def page(self) -> str:
        """The address of the self-service page, '' without one."""

    def client(self, resource: str) -> AbstractAsyncContextManager[Client]:
        """Log the owner in, with carbons."""

    def fetch(self, url: str) -> bytes:
        """Fetch a picture from the upload service; only from there."""

    async def kill(self) -> None:
        """Kill the owner's shard without warning."""

    async def left(self) -> list[str]:
        """Name what there is of accounts: resources, stores, processes, streams."""


@dataclass
class Story:
    """One play on one scene."""

    scene: Scene
    sandbox: SandboxClient
    say: Say

    async def play(self) -> None:
        """Play it all."""
        phone = await self.sandbox.account(push_name="Alice", contacts=["Bob"])
        bob = await self.sandbox.contact("Bob")
        async with (
            self.scene.client("laptop") as alice,
            self.scene.client("tablet") as tablet,
        ):
            await self.discover(alice)
            await self.register(alice)
            await self.link(alice, phone)
            await self.visit(alice)
            contact = f"{bob.number}@{self.scene.gateway}"
            await self.roster(alice, contact)
            await self.talk(alice, bob, contact, phone)
            await self.type_on_the_phone(alice, tablet, phone, bob, contact)
            await self.crash(alice, bob, contact, phone)
            await self.leave(alice, phone)

    async def discover(self, alice: Client) -> None:
        """Find the gateway among the services of the server."""
        gateway = self.scene.gateway
        items = await alice.plugin["xep_0030"].get_items(jid=JID(self.scene.domain))
        assert gateway in {str(item[0]) for item in items["disco_items"]["items"]}
        info = await alice.plugin["xep_0030"].get_info(jid=JID(gateway))
        assert ("gateway", "whatsapp") in {identity[:2] for identity in info["disco_info"]["identities"]}
        self.say("Alice finds the gateway in the service discovery")

    async def register(self, alice: Client) -> None:
        """Register in-band, without any field filled in."""
        iq = alice.make_iq_set(ito=self.scene.gateway)
        iq.append(Element("{jabber:iq:register}query"))
        await iq.send(timeout=10)  # type: ignore[no-untyped-call]  # slixmpp types it in part
        self.say("Alice registers")

    async def link(self, alice: Client, phone: AccountHandle) -> None:
        """Wait for the picture, read the code from its pixels, scan it with the phone."""
        gateway = self.scene.gateway
        url = await code_of(alice, gateway)
        content = await asyncio.to_thread(self.scene.fetch, url)
        self.say(f"A picture with a code arrives ({len(content)} bytes)")
        await phone.scan(picture.read(content))
        self.say("The code is read from its pixels and scanned with the phone")
        await linked(alice, gateway)
        self.say("Alice is linked: the gateway shows itself as available")

    async def visit(self, alice: Client) -> None:
        """Log in at the self-service page, if there is one: it shows that Alice is linked."""
        if not self.scene.page:
            return
        async with visitor(self.scene.page) as browser:
            await page.log_in(browser, alice, self.scene.gateway)
            self.say("Alice logs in at the self-service page, with the code that comes as a message")
            await page.shows(browser, Reason.CONNECTED)
            self.say("The page says that she is linked")

    async def roster(self, alice: Client, contact: str) -> None:
        """The contact appears in the contact list, named as in the phone's address book."""
        await alice.until(lambda: contact in alice.client_roster and alice.client_roster[contact]["name"] == "Bob")
        self.say("Bob appears in the contact list, with his name")

    async def talk(self, alice: Client, bob: AccountHandle, contact: str, phone: AccountHandle) -> None:
        """Text both ways, with receipts."""
        await bob.send_text(to=phone, text="Hello from WhatsApp")
        await alice.message(lambda m: m["from"].bare == contact and m["body"] == "Hello from WhatsApp")
        self.say("Bob's message arrives at Alice's client")
        sent = alice.say(contact, "Hello from XMPP")
        assert await self.seen_by(bob, ["Hello from XMPP"]) == 0
        await alice.message(lambda m: _received(m.xml) == sent)
        self.say("Alice's message arrives on Bob's phone, and its receipt at her client")

    async def type_on_the_phone(
        self, alice: Client, tablet: Client, phone: AccountHandle, bob: AccountHandle, contact: str
    ) -> None:
        """What the owner types on the phone appears in all her clients as sent by herself."""
        await phone.send_from_phone(to=bob, text="Typed on the phone")
        for client in (alice, tablet):
            await client.message(lambda m: _sent_carbon(m.xml) == (contact, "Typed on the phone"))
        self.say("What Alice types on her phone appears in both her clients as her own")

    async def crash(self, alice: Client, bob: AccountHandle, contact: str, phone: AccountHandle) -> None:
        """Kill the shard in mid conversation: everything arrives, once and in order."""
        there = [f"to Bob {n}" for n in range(MESSAGES_IN_THE_CRASH)]
        back = [f"to Alice {n}" for n in range(MESSAGES_IN_THE_CRASH)]
        sent: set[str] = set()
        half = MESSAGES_IN_THE_CRASH // 2
        for n in range(MESSAGES_IN_THE_CRASH):
            if n == half:
                if driver() == place.NEONIZE:
                    # It acknowledges a message before it hands it over, and cannot send one again under its old id:
                    # what is inside it now may be lost or doubled, so it may finish first (docs/features.md).
                    await alice.until(lambda: set(back[:half]) <= set(alice.bodies(contact)))
                    await alice.until(lambda: _receipts(alice) >= sent)
                await self.scene.kill()
                self.say("The shard is killed in mid conversation")
            sent.add(alice.say(contact, there[n]))
            await bob.send_text(to=phone, text=back[n])
        twice = await self.seen_by(bob, there)
        assert twice <= 1  # one message of a chat is on its way at a time
        await alice.until(lambda: set(back) <= set(alice.bodies(contact)), timeout=PATIENCE)
        assert back == [body for body in alice.bodies(contact) if body in back]
        self.say(f"The conversation goes on: {MESSAGES_IN_THE_CRASH} each way, none lost, {twice} twice, in order")

    async def leave(self, alice: Client, phone: AccountHandle) -> None:
        """Unregister: the device is unlinked, the contact list is empty, nothing is left."""
        await self.unregister(alice)
        await until(
            lambda: _no_entries(alice, self.scene.gateway), what="the end of the roster entries", timeout=PATIENCE
        )
        self.say("The WhatsApp entries leave her contact list")
        await until(lambda: _not_linked(phone), what="the end of the link at WhatsApp", timeout=PATIENCE)
        await until(self._nothing_left, what="the end of the account", timeout=PATIENCE)
        self.say("The device is unlinked at WhatsApp; account, store and process are gone")

    async def unregister(self, alice: Client) -> None:
        """End the registration in-band."""
        iq = alice.make_iq_set(ito=self.scene.gateway)
        query = Element("{jabber:iq:register}query")
        query.append(Element("{jabber:iq:register}remove"))
        iq.append(query)
        await iq.send(timeout=10)  # type: ignore[no-untyped-call]  # slixmpp types it in part
        self.say("Alice unregisters")

    async def _nothing_left(self) -> bool:
        return not await self.scene.left()

    async def seen_by(self, bob: AccountHandle, texts: list[str]) -> int:
        """Wait until Bob's phone has seen these texts, in this order; gives how many came once more.

        Only what was being sent when the shard was killed can come once more, with the core under the same id.
        """
        await bob.wait_for("message", text=texts[-1], patience=PATIENCE)
        ours: list[str] = []
        # One that was asked for again may come behind the last one.
        await until(lambda: self._all_of(bob, texts, ours), what="all that was written to Bob", timeout=PATIENCE)
        assert texts == list(dict.fromkeys(ours)), ours
        return len(ours) - len(texts)

    async def _all_of(self, bob: AccountHandle, texts: list[str], ours: list[str]) -> bool:
        ours[:] = [record["text"] for record in await bob.arrived() if record["text"] in texts]
        return set(texts) <= set(ours)


async def code_of(client: Client, gateway: str) -> str:
    """Wait for the picture of a code; gives its URL, which is the text for those who see no pictures."""
    shown = await client.message(lambda m: m["from"].bare == gateway and m.xml.find(OOB) is not None, timeout=PATIENCE)
    url = shown.xml.findtext(OOB) or ""
    assert url == shown["body"]
    return url


async def linked(client: Client, gateway: str) -> None:
    """Wait until the gateway shows itself as available, without a reservation."""
    await client.presence(
        lambda p: p["from"].bare == gateway and p["type"] == "available" and not p["show"], timeout=PATIENCE
    )


async def _no_entries(alice: Client, gateway: str) -> bool:
    answer: Any = await alice.get_roster()
    return not [jid for jid in answer["roster"]["items"] if str(jid).endswith(gateway)]


async def _not_linked(phone: AccountHandle) -> bool:
    return not await phone.linked()


def _receipts(client: Client) -> set[str]:
    return {id_ for message in client.messages if (id_ := _received(message.xml))}


def _received(message: Element) -> str | None:
    receipt = message.find(RECEIVED)
    return None if receipt is None else receipt.get("id")


def _sent_carbon(message: Element) -> tuple[str | None, str | None] | None:
    """Give (to, body) of a sent carbon (XEP-0280), None when it is none."""
    inner = message.find("{urn:xmpp:carbons:2}sent/{urn:xmpp:forward:0}forwarded/{jabber:client}message")
    return None if inner is None else (inner.get("to"), inner.findtext("{jabber:client}body"))
