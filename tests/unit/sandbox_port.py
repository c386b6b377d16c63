"""A running sandbox for tests with the hand-written client: linked devices without pairing, logins, arrivals."""

import asyncio
from pathlib import Path

from tests.sandbox.keys import SignedPrekey
from tests.sandbox.launch import Config
from tests.sandbox.node import JID, node
from tests.sandbox.proto import wa_wa6
from tests.sandbox.server import Sandbox
from tests.sandbox.world import Device
from tests.unit.sandbox_net import Handset
from tests.unit.sandbox_wire import Keys, WireClient

PATIENCE = 10  # seconds


def door(box: Sandbox) -> tuple[int, Path]:
    """Where a client finds the sandbox, and what it trusts."""
    config = Config.read(box.config)
    return int(config.proxy.rpartition(":")[2]), Path(config.ca)


def link(box: Sandbox, keys: Keys, number: str = "33601") -> Device:
    """A new account with a device of these keys, as if it had been paired."""
    account = box.world.add_account(number, push_name="Owner")
    account.phone = Handset()
    signed = SignedPrekey(keys.signed_id, keys.signed.public, keys.signature)
    device = Device(account, 1, 1, keys.noise.public, keys.identity.public, 77, signed, b"identity")
    account.devices[1] = device
    return device


async def login(box: Sandbox, device: Device, keys: Keys) -> WireClient:
    """Log a linked device in and make it active."""
    payload = wa_wa6.ClientPayload(username=int(device.account.pn.user), device=device.number)
    client = await WireClient(*door(box), keys, payload).login()
    await client.activate()
    return client


def deliver(box: Sandbox, device: Device, identifier: str, size: int = 20) -> None:
    """Deliver a message to a device."""
    stanza = node("message", node("enc", bytes(size), type="msg"), id=identifier, from_=JID("200", "lid"))
    box.router.deliver(device.lid, stanza)


async def happens(box: Sandbox, event: str, times: int = 1) -> None:
    """Wait until something was recorded so many times in all."""
    done = asyncio.Event()
    listener = lambda _entry: done.set() if box.world.counts[event] >= times else None  # noqa: E731 - is removed
    box.world.listeners.append(listener)
    try:
        if box.world.counts[event] < times:
            await asyncio.wait_for(done.wait(), PATIENCE)
    finally:
        box.world.listeners.remove(listener)
