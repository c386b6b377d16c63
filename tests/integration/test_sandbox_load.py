"""One sandbox process with many accounts, contacts and clients: nothing lost, nothing left over."""

import asyncio
import operator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.integration.sandbox_bed import Bed, Client, address, make_bed
from tests.sandbox.node import node
from tests.sandbox.phones.reception import Habits
from tests.sandbox.proto import wa_e2e
from tests.sandbox.server import Sandbox
from tests.sandbox.world import Settings
from tests.unit.sandbox_port import deliver, link, login
from tests.unit.sandbox_wire import Keys, WireClient

pytestmark = pytest.mark.timeout(180)

ACCOUNTS, CONTACTS = 200, 1000
PACE = 250  # first messages a second; more than 2048 waiting inside the client lose their order
AT_ONCE = 8  # clients that pair at the same time


async def settle(bed: Bed, clients: list[Client]) -> None:
    """Wait until no client has anything unacknowledged."""
    for client in clients:
        outbox = client.device.outbox
        await bed.until(partial(operator.not_, outbox), "everything was acknowledged", 60)


async def test_many_accounts_on_the_wire(tmp_path: Path) -> None:
    """Two hundred linked devices log in at once and each gets its messages in order, through one process."""
    random = Random(4)
    async with Sandbox(Settings(qr_refs=1), tmp_path) as box:
        keys = [Keys.make(random) for _ in range(ACCOUNTS)]
        devices = [link(box, each, str(33_700_000_000 + number)) for number, each in enumerate(keys)]
        for device in devices:
            deliver(box, device, "while away")
        clients = await asyncio.gather(*(login(box, *pair) for pair in zip(devices, keys, strict=True)))
        for number in range(5):
            for device in devices:
                deliver(box, device, f"online {number}")

        async def take(client: WireClient) -> list[str]:
            seen = [stanza.get("id") for stanza in client.heard if stanza.tag == "message"]
            while len(seen) < 6:
                stanza = await client.until(lambda each: each.tag == "message")
                seen.append(stanza.get("id"))
                client.send(node("receipt", id=stanza.get("id"), to=stanza.jid("from")))
            client.send(node("receipt", id="while away", to=stanza.jid("from")))
            await client.until(lambda each: each.tag == "ack" and each.get("id") == "while away")
            return seen

        expected = ["while away", *(f"online {number}" for number in range(5))]
        assert [expected] * ACCOUNTS == await asyncio.gather(*map(take, clients))
        assert [0] * ACCOUNTS == [len(device.outbox) for device in devices]
        assert ACCOUNTS * 6 == box.world.counts["acknowledged"]
        for client in clients:
            client.close()


async def test_a_thousand_contacts_write_to_one_client(tmp_path: Path) -> None:
    """A first message from each of a thousand contacts arrives, although the one-time keys run out on the way."""
    async with make_bed(tmp_path) as bed:
        client = await bed.client(bed.phone("Owner"))
        contacts = [bed.phone("", Habits(receipts="none", app_state=False)) for _ in range(CONTACTS)]
        for number, contact in enumerate(contacts):
            contact.send(client.account.lid, wa_e2e.Message(conversation=str(number)))
            if number % (PACE // 50) == 0:
                await asyncio.sleep(0.02)
        await bed.until(lambda: len(client.texts()) == CONTACTS, "all arrived", 60)
        await settle(bed, [client])
        assert sorted(map(str, range(CONTACTS))) == sorted(client.texts())
        assert client.device.counts["uploaded_keys"] > CONTACTS // 50 // 2
        assert not [event for event in bed.probe.events if event.name == "UndecryptableMessage"]


async def test_fifty_clients_in_one_process(tmp_path: Path) -> None:
    """Fifty real clients of fifty accounts pair, and each writes to its neighbour, round the table."""
    async with make_bed(tmp_path) as bed:
        free = asyncio.Semaphore(AT_ONCE)

        async def pair() -> Client:
            async with free:
                return await bed.client()

        clients = await asyncio.gather(*(pair() for _ in range(50)))
        neighbours = [*clients[1:], clients[0]]
        await asyncio.gather(
            *(
                client.call("send_message", address(neighbour.account.pn), f"to {neighbour.name}", patience=60)
                for client, neighbour in zip(clients, neighbours, strict=True)
            )
        )
        await asyncio.gather(*(client.text(f"to {client.name}") for client in clients))
        await settle(bed, clients)
        assert [[f"to {client.name}"] for client in clients] == [client.texts() for client in clients]
        assert 0 == bed.box.world.counts["undeliverable"] + bed.box.world.counts["accepted_late"]
        assert {} == bed.box.world.unimplemented
