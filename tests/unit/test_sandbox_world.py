"""The state of the world: accounts by either address, bundles, the trace."""

import pytest

from tests.sandbox import world as module
from tests.sandbox.keys import Prekey, SignedPrekey
from tests.sandbox.node import JID, LID, SERVER, Node, node
from tests.sandbox.world import Account, Device, Sender, Trace, World


@pytest.fixture
def world() -> World:
    """A world with a fixed clock."""
    return World(now=lambda: 1_700_000_000.5, entropy=bytes)


def linked(account: Account, number: int = 1) -> Device:
    """A device of an account, without a session."""
    device = Device(account, number, number, b"n" * 32, b"i" * 32, 77, SignedPrekey(1, b"s" * 32, b"g" * 64), b"id")
    account.devices[number] = device
    return device


def test_account_has_two_addresses(world: World) -> None:
    """An account is found by number and by LID, with and without a device."""
    account = world.add_account("33612", "123", "Owner")
    for text in ("33612@s.whatsapp.net", "33612:4@s.whatsapp.net", "123@lid", "123:9@lid"):
        assert account is world.account(JID.parse(text))
    assert world.account(JID("33612", LID)) is None
    assert [account] == list(world.accounts())


def test_lid_is_derived(world: World) -> None:
    """Without a LID one is made from the number, different for different numbers."""
    lids = {world.add_account(number).lid for number in ("33612", "33613", "21633")}
    assert 3 == len(lids)
    assert {LID} == {lid.server for lid in lids}


@pytest.mark.parametrize(("number", "lid"), [("33612", "5"), ("33613", "123")])
def test_addresses_are_taken_once(world: World, number: str, lid: str) -> None:
    """A number or a LID that somebody has cannot be taken again."""
    world.add_account("33612", "123")
    with pytest.raises(ValueError, match="taken"):
        world.add_account(number, lid)


def test_removed_account_is_unknown(world: World) -> None:
    """A removed account is found by neither address, and its number is free."""
    account = world.add_account("33612", "123")
    world.remove_account(account)
    assert world.account(account.pn) is None
    assert world.account(account.lid) is None
    world.add_account("33612", "123")


def test_devices_are_found(world: World) -> None:
    """A linked device is found by either address; the phone is none."""
    account = world.add_account("33612", "123")
    device = linked(account, 4)
    assert device is world.device(JID("33612", SERVER, 4))
    assert device is world.device(JID("123", LID, 4))
    assert (JID("123", LID, 4), JID("33612", SERVER, 4)) == (device.lid, device.pn)
    for jid in (account.lid, account.lid.of_device(5), JID("5", LID, 4)):
        assert world.device(jid) is None


def test_bundles_use_up_keys(world: World) -> None:
    """A bundle carries a one-time key while there is one, and goes on without."""
    device = linked(world.add_account("33612", "123"))
    device.prekeys.add([Prekey(9, b"k" * 32)])
    first, second = world.bundle(device.lid), world.bundle(device.pn)
    assert first is not None
    assert second is not None
    assert (9, b"k" * 32) == (first.prekey_id, first.prekey)
    assert (None, None) == (second.prekey_id, second.prekey)
    assert (77, b"i" * 32, 1, b"s" * 32, b"g" * 64, b"id") == (
        first.registration,
        first.identity,
        first.signed_id,
        first.signed_key,
        first.signature,
        first.device_identity,
    )


def test_bundles_of_nobody(world: World) -> None:
    """Unknown users and devices, and phones that are missing, have no bundle."""
    account = world.add_account("33612", "123")
    for jid in (account.lid, account.lid.of_device(3), JID("5", LID)):
        assert world.bundle(jid) is None


def test_sender_names_itself(world: World) -> None:
    """A sender is an account and a number; only linked devices are devices."""
    account = world.add_account("33612", "123")
    device = linked(account)
    assert device is Sender(account, 1).device
    assert Sender(account, 0).device is None
    assert (device.lid, device.pn) == Sender(account, 1).names
    assert (account.lid, account.pn) == Sender(account, 0).names


def test_online_while_anybody_is(world: World) -> None:
    """A user is online while the phone or any linked device is."""
    account = world.add_account("33612", "123")
    device, seen = linked(account), []
    for device.available, account.available in ((False, False), (True, False), (False, True), (True, True)):
        seen.append(account.online)
    assert [False, True, True, True] == seen


def test_records_are_counted_at_every_level(world: World) -> None:
    """What happens to a device counts for it, for its account and for the world."""
    device = linked(world.add_account("33612", "123"))
    heard: list[Trace] = []
    world.listeners.append(heard.append)
    world.record("sent", device, node("message", id="1"))
    world.record("sent", JID("5", LID))
    assert (2, 1, 1) == (world.counts["sent"], device.counts["sent"], device.account.counts["sent"])
    assert [device.lid, JID("5", LID)] == [entry.who for entry in heard]
    assert heard == list(world.trace)
    assert 1_700_000_000.5 == heard[0].at


def test_trace_is_bounded() -> None:
    """The trace forgets the oldest, the counts forget nothing."""
    world = World()
    for _ in range(module.TRACE_LENGTH + 5):
        world.record("sent")
    assert module.TRACE_LENGTH == len(world.trace)
    assert module.TRACE_LENGTH + 5 == world.counts["sent"]


def test_uploads_do_not_weigh_on_the_trace() -> None:
    """Of a stanza with an endless list only the outline is remembered; others are kept as they are."""
    keys = [node("key") for _ in range(module.TRACE_WIDTH + 1)]
    upload = node("iq", node("type", b"\x05"), node("list", *keys), xmlns="encrypt")
    assert "<iq xmlns=encrypt><type>[1]</><list/></iq>" == str(module.outline(upload))
    small = Node("iq", {}, [node("list", *keys[:5])])
    assert small is module.outline(small)
