"""Linking the real client by QR and by typed code, with all that can go wrong."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.sandbox_bed import Bed, make_bed
from tests.sandbox import pairing
from tests.sandbox.keys import KEY_TYPE
from tests.sandbox.node import node
from tests.sandbox.phones.line import PhoneError
from tests.sandbox.proto import wa_adv
from tests.sandbox.signal import xeddsa

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """A sandbox and one child for all tests of this module."""
    async with make_bed(tmp_path_factory.mktemp("pairing")) as made:
        yield made


async def test_scan_links_the_client(bed: Bed) -> None:
    """Scanning the code makes the client a companion: paired, restarted with 515, logged in."""
    phone = bed.phone("Owner")
    name = "scanned"
    code = await bed.qr(name)
    assert 1 == phone.linking.scan(code)
    status = await bed.probe.event(name, "PairStatus")
    assert (phone.line.account.pn.user, 1) == (status["ID"]["User"], status["ID"]["Device"])
    assert "SUCCESS" == status["Status"]
    await bed.probe.event(name, "Connected")
    await bed.record(phone, "companion_linked", device=1)
    await bed.record(phone, "companion_active", device=1, first=True)


async def test_code_holds_the_registered_keys(bed: Bed) -> None:
    """The text of the code names the connection and the very keys that the client registered with."""
    code = pairing.read_qr(await bed.qr("keys"))
    pending = bed.box.router.pending_qr(code.ref)
    assert pending is not None
    assert (code.noise, code.identity) == (pending.noise_public, pending.identity_public)


async def test_device_identity_is_stored_complete(bed: Bed) -> None:
    """The stored device identity carries the account's key and three signatures that verify."""
    client = await bed.client()
    stored = wa_adv.ADVSignedDeviceIdentity.FromString(client.device.device_identity)
    key = client.phone.line.device.identity.public
    assert key == stored.accountSignatureKey
    identity = client.device.identity
    assert xeddsa.verify(key, pairing.ACCOUNT_PREFIX + stored.details + identity, stored.accountSignature)
    assert xeddsa.verify(identity, pairing.DEVICE_PREFIX + stored.details + identity + key, stored.deviceSignature)
    signed = client.device.signed
    assert xeddsa.verify(identity, KEY_TYPE + signed.public, signed.signature)


async def test_wrong_hmac_is_refused_by_the_client(bed: Bed) -> None:
    """A container under another secret than the code's is answered with hmac-mismatch and links nothing."""
    phone = bed.phone("Owner")
    code = pairing.read_qr(await bed.qr("hmac"))
    pending = bed.box.router.pending_qr(code.ref)
    assert pending is not None
    container = pairing.container(phone.line.device.identity, code.identity, bytes(32), 1, 0, bytes)
    bed.box.router.link(pending, phone.line.account, 1, container)
    assert "hmac-mismatch" in (await bed.record(phone, "companion_refused"))["reason"]
    assert [0] == bed.box.router.devices(phone.line.lid)


async def test_wrong_account_signature_is_refused_by_the_client(bed: Bed) -> None:
    """A container that is signed for another device is answered with signature-mismatch and links nothing."""
    phone = bed.phone("Owner")
    code = pairing.read_qr(await bed.qr("signature"))
    pending = bed.box.router.pending_qr(code.ref)
    assert pending is not None
    container = pairing.container(phone.line.device.identity, bytes(32), code.adv_secret, 1, 0, bytes)
    bed.box.router.link(pending, phone.line.account, 1, container)
    assert "signature-mismatch" in (await bed.record(phone, "companion_refused"))["reason"]
    assert [0] == bed.box.router.devices(phone.line.lid)


async def test_code_is_good_once(bed: Bed) -> None:
    """A code that was used links nobody else."""
    code = await bed.qr("once")
    bed.phone("First").linking.scan(code)
    await bed.probe.event("once", "Connected")
    with pytest.raises(PhoneError, match="expired"):
        bed.phone("Second").linking.scan(code)


async def test_typed_code_links_the_client(bed: Bed) -> None:
    """The eight characters that the client shows, typed on the phone, link it like a scan."""
    phone = bed.phone("Owner")
    await bed.qr("typed")
    code = await bed.probe.call("typed", "PairPhone", phone.line.account.pn.user, show_push_notification=True)
    await phone.linking.type_code(code)
    await bed.probe.event("typed", "Connected")
    await bed.record(phone, "companion_active", device=1, first=True)


async def test_wrong_typed_code_links_nothing(bed: Bed) -> None:
    """A mistyped code is refused at the end of the exchange; the right one still links afterwards."""
    phone = bed.phone("Owner")
    await bed.qr("mistyped")
    number = phone.line.account.pn.user
    code = await bed.probe.call("mistyped", "PairPhone", number, show_push_notification=True)
    wrong = ("2" if code[0] == "1" else "1") + code[1:]
    await phone.linking.type_code(wrong)
    await bed.until(lambda: bed.box.world.counts["code_refused"], "the wrong code was refused")
    assert [0] == bed.box.router.devices(phone.line.lid)
    await phone.linking.type_code(await bed.probe.call("mistyped", "PairPhone", number, show_push_notification=True))
    await bed.probe.event("mistyped", "Connected")


async def test_code_for_an_unknown_number_is_refused(bed: Bed) -> None:
    """Asking for a code for a number without an account fails at the client."""
    await bed.qr("nobody")
    with pytest.raises(Exception, match="PairPhoneError"):
        await bed.probe.call("nobody", "PairPhone", "33699999999", show_push_notification=True)


async def test_number_of_references_is_the_settings(bed: Bed) -> None:
    """The server offers as many references as its settings say."""
    before = len(bed.box.router.lobby.by_ref)
    bed.box.world.settings.qr_refs = 4
    try:
        await bed.qr("four")
    finally:
        bed.box.world.settings.qr_refs = 2
    assert 4 == len(bed.box.router.lobby.by_ref) - before


async def test_second_companion_gets_the_next_number(bed: Bed) -> None:
    """Two clients of one account are devices 1 and 2, and the first is told of the second."""
    first = await bed.client()
    second = await bed.client(first.phone)
    assert (1, 2) == (first.device.number, second.device.number)
    synced = [n for n in bed.sent(first.device, "notification") if n.get("type") == "account_sync"]
    listed = [device.jid("jid") for device in synced[0].need("devices").children]
    assert [first.account.lid, first.device.lid, second.device.lid] == listed


async def test_lost_connection_before_the_signature_is_told(bed: Bed) -> None:
    """When the connection breaks between the phone's consent and the client's, the phone learns it."""
    phone = bed.phone("Owner")
    code = pairing.read_qr(await bed.qr("lost"))
    stage = bed.box.router.lobby.by_ref[code.ref]
    stage._session.freeze()
    bed.box.router.link(stage, phone.line.account, 1, b"never read")
    stage._session.end(node("unused"))
    assert "the connection was lost" == (await bed.record(phone, "companion_refused"))["reason"]
