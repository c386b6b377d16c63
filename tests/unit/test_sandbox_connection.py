"""Connections over real loopback sockets, with a client written for the tests instead of neonize."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from tests.sandbox import connection as module
from tests.sandbox import websocket
from tests.sandbox.connection import Connection
from tests.sandbox.node import JID, Node, node
from tests.sandbox.server import Sandbox
from tests.sandbox.world import Device, Settings
from tests.unit.sandbox_port import deliver, door, happens, link, login
from tests.unit.sandbox_wire import Keys, WireClient, mask


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A running sandbox that does not linger."""
    async with Sandbox(Settings(qr_refs=1, linger=0.05, restart_linger=0.05), tmp_path) as made:
        yield made


@pytest.fixture
def keys() -> Keys:
    """A device's keys."""
    return Keys.make(Random(9))


@pytest.fixture
def device(box: Sandbox, keys: Keys) -> Device:
    """A linked device that is not logged in."""
    return link(box, keys)


def session(device: Device) -> Connection:
    """The connection of a device."""
    assert isinstance(device.session, Connection)
    return device.session


def is_message(stanza: Node) -> bool:
    """Whether a stanza is a message."""
    return stanza.tag == "message"


async def messages(client: WireClient, count: int) -> list[str]:
    """The ids of the next messages."""
    return [(await client.until(is_message)).get("id") for _ in range(count)]


async def test_unlinked_client_is_offered_codes(box: Sandbox, keys: Keys) -> None:
    """After the handshake of a new device its first stanza is the offer of codes, readable on its side."""
    client = await WireClient(*door(box), keys).login()
    offer = await client.next()
    (ref,) = offer.need("pair-device").children
    assert box.router.pending_qr(ref.text) is not None
    client.close()


async def test_badly_signed_registration_is_refused(box: Sandbox, keys: Keys) -> None:
    """A new device whose prekey is not signed by its identity gets a failure and no codes."""
    payload = keys.payload()
    payload.devicePairingData.eSkeySig = bytes(64)
    client = await WireClient(*door(box), keys, payload).login()
    assert "<failure reason=400/>" == str(await client.next())
    assert await client.ended()


async def test_linked_client_logs_in(box: Sandbox, device: Device, keys: Keys) -> None:
    """A linked device gets from its handshake to its waiting stanzas."""
    deliver(box, device, "waited")
    client = await login(box, device, keys)
    assert ["success", "iq", "ib", "message", "ib"] == [stanza.tag for stanza in client.heard]
    assert session(device) is device.session
    client.close()


async def test_order_is_kept(box: Sandbox, device: Device, keys: Keys) -> None:
    """What is sent in one turn of the loop arrives in order and left as one packet."""
    client = await login(box, device, keys)
    writer = session(device)._writer
    with patch.object(writer, "write", wraps=writer.write) as write:
        for number in range(20):
            deliver(box, device, str(number))
        assert [str(number) for number in range(20)] == await messages(client, 20)
    assert 1 == write.call_count
    client.close()


@pytest.mark.parametrize("size", [0, 100, 70_000, 2_000_000])
async def test_sizes(box: Sandbox, device: Device, keys: Keys, size: int) -> None:
    """Small and great stanzas pass both ways."""
    client = await login(box, device, keys)
    deliver(box, device, "down", size)
    assert size == len((await client.until(is_message)).need("enc").data)
    up = node("message", node("enc", bytes(size), type="msg"), to=device.account.lid, id="up")
    client.send(up.with_attrs(category="peer"))
    assert "up" == (await client.until(lambda stanza: stanza.tag == "ack")).get("id")
    client.close()


async def test_many_stanzas_in_one_write(box: Sandbox, device: Device, keys: Keys) -> None:
    """Several frames that arrive together are all served, in order."""
    client = await login(box, device, keys)
    client.send(*(node("iq", type="get", xmlns="w:p", id=str(number)) for number in range(30)))
    answers = [(await client.until(lambda stanza: stanza.tag == "iq")).get("id") for _ in range(30)]
    assert [str(number) for number in range(30)] == answers
    client.close()


async def test_ping_of_the_web_socket(box: Sandbox, keys: Keys) -> None:
    """A ping is answered with its payload, a close with a close and the end."""
    client = WireClient(*door(box), keys)
    await client.open()
    assert "HTTP/1.1 101 Switching Protocols" == await client.upgrade()
    client.writer.write(mask(b"echo", opcode=websocket.PING))
    assert websocket.encode(b"echo", websocket.PONG) == await client.reader.readexactly(6)
    client.writer.write(mask(b"\x03\xe8bye", opcode=websocket.CLOSE))
    assert websocket.encode(b"\x03\xe8", websocket.CLOSE) == await client.reader.read()


@pytest.mark.parametrize(
    "data",
    [mask(b"XX"), mask(b"WA\x06\x03\x00\x00\x01x"), websocket.encode(b"unmasked"), mask(b"x", opcode=0)],
    ids=["prologue", "handshake", "mask", "fragment"],
)
async def test_broken_protocol_ends_the_connection(box: Sandbox, keys: Keys, data: bytes) -> None:
    """A client that breaks any layer is cut off and counted; others are served as before."""
    client = WireClient(*door(box), keys)
    await client.open()
    await client.upgrade()
    client.writer.write(data)
    assert b"" == await client.reader.read()
    await happens(box, "broke_protocol")
    await test_unlinked_client_is_offered_codes(box, keys)


async def test_silent_client_is_cut_off(box: Sandbox, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never says who it is does not hold a connection for ever."""
    monkeypatch.setattr(module, "HANDSHAKE_TIMEOUT", 0.05)
    client = WireClient(*door(box), keys)
    await client.open()
    await client.upgrade()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.reader.readexactly(1)


async def test_own_mistake_is_loud(box: Sandbox, device: Device, keys: Keys) -> None:
    """A crash in a stage ends its connection, is reported to the loop, and leaves the others alone."""
    client, neighbour = await login(box, device, keys), Keys.make(Random(10))
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    other = await login(box, link(box, neighbour, "33605"), neighbour)
    with patch.object(box.router, "submit", side_effect=ZeroDivisionError):
        client.send(node("presence", type="available"))
        assert await client.ended()
    await happens(box, "departed")
    await asyncio.sleep(0)
    assert [ZeroDivisionError] == [type(context["exception"]) for context in reported]
    other.send(node("iq", type="get", xmlns="w:p", id="alive"))
    assert "alive" == (await other.until(lambda stanza: stanza.get("id") == "alive")).get("id")
    other.close()


async def test_spoiled_frame_ends_the_connection(box: Sandbox, device: Device, keys: Keys) -> None:
    """A frame that does not decrypt ends the session; the device can come back."""
    client = await login(box, device, keys)
    client._send_frame(bytes(40))
    assert await client.ended()
    await happens(box, "departed")
    assert device.session is None
    (await login(box, device, keys)).close()


async def test_bad_stanza_is_survived(box: Sandbox, device: Device, keys: Keys) -> None:
    """A stanza that lacks what it needs is counted and the next one served."""
    client = await login(box, device, keys)
    client.send(node("message", id="to nobody"), node("iq", type="get", xmlns="w:p", id="after"))
    assert "after" == (await client.until(lambda stanza: stanza.tag == "iq")).get("id")
    assert 1 == box.world.counts["refused_stanza"]
    client.close()


async def test_last_stanza_arrives(box: Sandbox, device: Device, keys: Keys) -> None:
    """Before a connection is closed its last stanza is written out."""
    client = await login(box, device, keys)
    deliver(box, device, "before")
    session(device).end(node("stream:error", code=503))
    assert ["before"] == await messages(client, 1)
    assert "<stream:error code=503/>" == str(await client.next())
    assert await client.ended()


async def test_nothing_is_heard_after_the_end(box: Sandbox, device: Device, keys: Keys) -> None:
    """What the client says after the last stanza is counted as late, and what is sent to it is dropped."""
    client = await login(box, device, keys)
    connection = session(device)
    connection.end(node("stream:error", code=503), linger=5)
    connection.send(node("presence"))
    connection.end(node("stream:error", code=515))
    client.send(node("presence", type="available"))
    await happens(box, "arrived_late")
    assert not device.available
    assert "<stream:error code=503/>" == str(await client.next())
    client.close()
    await happens(box, "departed")


async def test_cut_without_a_word(box: Sandbox, device: Device, keys: Keys) -> None:
    """Without a last stanza the socket is simply cut."""
    client = await login(box, device, keys)
    session(device).end()
    assert await client.ended()
    await happens(box, "departed")


async def test_replaced_by_a_newer_login(box: Sandbox, device: Device, keys: Keys) -> None:
    """The older of two connections is told and closed, the newer one stays and gets the stanzas."""
    older = await login(box, device, keys)
    newer = await login(box, device, keys)
    told = await older.until(lambda stanza: stanza.tag == "stream:error")
    assert "replaced" == told.need("conflict").get("type")
    assert await older.ended()
    deliver(box, device, "for the newer")
    assert ["for the newer"] == await messages(newer, 1)
    assert 0 == device.counts["accepted_late"]
    newer.close()


async def test_frozen(box: Sandbox, device: Device, keys: Keys) -> None:
    """A frozen connection reads and writes nothing; thawed, it goes on in both directions."""
    client = await login(box, device, keys)
    connection = session(device)
    accepted = device.counts["accepted"]
    connection.freeze()
    client.send(node("iq", type="get", xmlns="w:p", id="frozen"))
    deliver(box, device, "frozen")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.readexactly(1), 0.1)
    assert accepted == device.counts["accepted"]
    connection.thaw()
    assert {"iq", "message"} == {(await client.next()).tag, (await client.next()).tag}
    client.close()


async def test_frozen_connection_is_replaced(box: Sandbox, device: Device, keys: Keys) -> None:
    """A newer login cuts a frozen connection off without a word."""
    frozen = await login(box, device, keys)
    session(device).freeze()
    newer = await login(box, device, keys)
    assert await frozen.ended()
    assert "stream:error" not in [stanza.tag for stanza in frozen.heard]
    deliver(box, device, "1")
    assert ["1"] == await messages(newer, 1)
    newer.close()


async def test_delay_holds_back_and_keeps_the_order(box: Sandbox, device: Device, keys: Keys) -> None:
    """Held stanzas leave later than they were sent, and none overtakes another, whatever its own delay."""
    client = await login(box, device, keys)
    connection = session(device)
    for identifier, delay in (("1", 0.08), ("2", 0.0), ("3", 0.02)):
        connection.send(node("message", id=identifier), delay)
    due = [at for at, _ in connection._held]
    assert 3 == len(due)
    assert sorted(due) == due
    assert ["1", "2", "3"] == await messages(client, 3)
    assert not connection._held
    client.close()


async def test_held_stanzas_end_with_the_connection(box: Sandbox, device: Device, keys: Keys) -> None:
    """What a delay still holds when the connection ends is not written; it stays in the outbox."""
    client = await login(box, device, keys)
    box.faults.add("delay", device.lid, value=30)
    deliver(box, device, "held")
    session(device).end(node("stream:error", code=515))
    assert await client.ended()
    assert [] == [stanza for stanza in client.heard if is_message(stanza)]
    assert 1 == len(device.outbox)


async def test_client_that_does_not_read(
    box: Sandbox, device: Device, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that leaves too much unread is cut off; its outbox keeps everything."""
    monkeypatch.setattr(module, "MAX_UNSENT", 1 << 20)
    client = await login(box, device, keys)
    for number in range(20):
        deliver(box, device, str(number), 1 << 19)
        await asyncio.sleep(0)
    await happens(box, "departed")
    assert 20 == len(device.outbox)
    client.close()


async def test_stanza_before_the_handshake(box: Sandbox) -> None:
    """Writing a stanza before there are keys is our own mistake."""
    reader, writer = asyncio.StreamReader(), await hollow_writer()
    assert box._wire is not None
    with pytest.raises(RuntimeError, match="handshake"):
        Connection(box._wire, reader, writer).send(node("iq", to=JID("1", "lid")))
    writer.close()


async def hollow_writer() -> asyncio.StreamWriter:
    """A writer that leads to nobody who listens."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    server.close()
    return writer
