"""The real client logs in: keys, restart, replacement, logout, and the failures that end or delay a login."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.sandbox_bed import Bed, make_bed
from tests.sandbox.keys import KeyPair
from tests.sandbox.probing import Probe
from tests.sandbox.proto import wa_e2e
from tests.sandbox.world import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """A sandbox and one child for all tests of this module."""
    async with make_bed(tmp_path_factory.mktemp("login")) as made:
        yield made


async def test_fresh_client_uploads_what_is_asked(bed: Bed) -> None:
    """With a pretended count a fresh client uploads 50 keys, of which its phone takes one to write to it."""
    client = await bed.client()
    assert 50 - 1 == len(client.device.prekeys)
    assert (1, 1) == (client.device.counts["uploaded_keys"], client.device.logins)


async def test_full_upload_is_stored(tmp_path: Path) -> None:
    """With the true count a fresh client uploads 812 keys, and each is handed out once, the first to its phone."""
    async with make_bed(tmp_path, Settings(qr_refs=2)) as bed:
        client = await bed.client()
        keys = client.device.prekeys
        assert 812 - 1 == len(keys)
        first, second = keys.take(), keys.take()
        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert 812 - 3 == len(keys)


async def test_low_keys_are_refilled(bed: Bed) -> None:
    """When four one-time keys are left, the client is told and uploads fifty more."""
    client = await bed.client()
    for _ in range(45):
        assert bed.box.router.bundle(client.device.lid) is not None
    await bed.until(lambda: client.device.counts["uploaded_keys"] == 2, "the client refilled its keys")
    assert 54 == len(client.device.prekeys)
    await bed.until(lambda: not client.device.outbox, "the notification was acknowledged")


async def test_restart_logs_in_without_a_code(bed: Bed, tmp_path: Path) -> None:
    """A new process on the same store is the same device: no code, no new keys."""
    client = await bed.client()
    await client.call("stop")
    await client.event("Returned")
    await bed.until(lambda: client.device.session is None, "the first process has gone")
    async with Probe(bed.box.config, tmp_path) as again:
        await again.call("again", "start", store=client.store)
        await again.event("again", "Connected")
        assert not [event for event in again.events if event.name == "QR"]
    assert 2 == client.device.logins
    assert 1 == client.device.counts["uploaded_keys"]


async def test_other_noise_key_is_logged_out(bed: Bed) -> None:
    """A client that proves another key than it was linked with is refused for good."""
    client = await bed.client()
    client.device.noise = KeyPair.of(bytes(range(32))).public
    since = bed.now
    bed.box.router.companions.strike("drop", client.device.lid)
    lost = await client.event("LoggedOut", since=since)
    assert lost["OnConnect"]
    assert 1 == bed.box.world.counts["login_refused"]


async def test_second_login_replaces_the_first(bed: Bed, tmp_path: Path) -> None:
    """Two processes with one store: the older is told so and stays away, nothing of it is accepted any more."""
    client = await bed.client()
    async with Probe(bed.box.config, tmp_path) as rival:
        await rival.call("rival", "start", store=client.store)
        await rival.event("rival", "Connected")
        await client.event("StreamReplaced")
        await bed.client()  # time enough for the older one to come back, if it would
        assert client.device.session is not None
        assert (1, 2) == (client.device.counts["replaced"], client.device.logins)
    assert 0 == client.device.counts["accepted_late"]


async def test_logout_forgets_the_device(bed: Bed) -> None:
    """A client that logs out is answered first and then forgotten."""
    client = await bed.client()
    await client.call("logout")
    await bed.record(client.phone, "companion_gone", device=1)
    assert [0] == bed.box.router.devices(client.account.lid)


async def test_unlink_by_the_phone_logs_the_client_out(bed: Bed) -> None:
    """A companion that the phone removes is told and deletes its store."""
    client = await bed.client()
    client.phone.unlink(1)
    lost = await client.event("LoggedOut")
    assert not lost.get("OnConnect")
    assert [0] == bed.box.router.devices(client.account.lid)


async def test_passive_client_gets_nothing(bed: Bed) -> None:
    """Between passive and active stanzas wait; then they come, in order."""
    client, friend = await bed.client(), bed.phone("Friend")
    await client.call("set_passive", passive=True)
    assert not client.device.active
    for text in ("one", "two"):
        friend.send(client.account.lid, wa_e2e.Message(conversation=text))
    assert 2 == len(client.device.outbox)
    await client.call("set_passive", passive=False)
    await client.text("two")
    assert ["one", "two"] == client.texts()
